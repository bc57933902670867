"""
The inbox as a page: Django templates and forms, complete without JavaScript.

- ``inbox``: the address ``notify:inbox``, as a page for people and as JSON for scripts
- ``rows``: what the page shows of each notification

A project puts the page into its own layout by overriding ``notify/base.html``.
"""
