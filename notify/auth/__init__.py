"""
Authentication of connections: which pages may open them, and for which user.

- ``origin``: checks that a connection comes from a page of the site
- ``hints``: explains to developers why an origin was refused
- ``session``: looks up a session's user, and checks sessions again, without writing anything
- ``identity``: the text by which a page names its user, and whether that is another user

The transports use ``origin.is_allowed()``, ``session.sign_in()`` and ``identity.is_another()``, and ``live``
re-checks sessions with ``session.still_signed_in()`` and ``session.barred()``.
"""
