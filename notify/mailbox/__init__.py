"""
The write side: everything that changes rows under the mailbox's lock.

- ``outbox``: record a notification in the caller's transaction, publish it after the commit, ring
- ``locks``: bounds on how long a mailbox's lock is waited for, and held
- ``change``: the usual way to take positions: lock, save, commit, ring
- ``batch``: assign positions to the waiting rows of one publish; merge a row into the published row with
  the same key
- ``statements``: the SQL statements that the ORM cannot express
- ``marks``: mark notifications as seen, read, archived or dismissed, and archive expired ones
- ``retraction``: retract notifications that no longer apply; archive by key, group or category
- ``epochs``: give a mailbox a new epoch, after which its readers start over
- ``retention``: archive old notifications, and delete those that have been archived for long enough
- ``integrity``: check the invariants of mailboxes, and repair violations

Other packages use ``outbox``, ``marks``, ``retraction``, ``epochs``, ``retention`` and ``integrity``;
``tracking`` uses ``change``.
"""
