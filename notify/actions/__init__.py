"""
Actions that the server runs: a user answers a notification, and the site's handler does the work.

- ``execution``: runs the handler of an action, once, in one transaction with the notification
- ``outcomes``: converts the result of a handler to what is stored with the notification
- ``checks``: finds notifications whose handler is missing

``handlers`` has the decorator, and ``sending/actions`` checks what is sent. Other packages use
``execution.run``.
"""
