"""
The public calls that send notifications, and the validation of their arguments.

- ``calls``: ``send``, ``send_many``, the shortcuts for each level (``Verb``), ``retract`` and ``disconnect``
- ``content``: texts, links and limits, validated and rendered in the recipient's language
- ``echo``: the tab whose own request sends
- ``values``: checks of single values
- ``links``: resolves links, and refuses those that depend on the page
- ``recipients``: users, requests, querysets and groups, resolved to primary keys

Progress (``tracking``) validates its arguments with ``content`` and ``recipients``.
"""
