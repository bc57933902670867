"""
Signals, all sent with ``send_robust``: a receiver that fails is logged and disturbs nobody.

Each has the sender :class:`notify.models.Notification`, but for those of the doorbell and the
hub, whose sender is the class at work.
"""

from __future__ import annotations

from django.dispatch import Signal

#: Notifications were stored, in the caller's transaction. ``notifications``: list, ``using``: alias.
sent = Signal()

#: Changes of a mailbox were committed. ``recipient``: primary key, ``notifications``: the changed
#: rows by rising position, or None when a mark changed more than 100, ``using``: alias. Runs in the
#: thread that published.
published = Signal()

#: Publishing, archiving what has expired, or making a mailbox failed, and is left to the sweep.
#: ``recipients``: primary keys, ``error``: exception.
publish_failed = Signal()

#: The channel layer took no ring; the sweep delivers. ``error``: exception.
ring_failed = Signal()

#: A sweep found a room behind its mailbox and read it again. ``recipient``: primary key.
repaired = Signal()

#: The rows of a mailbox could not be read for its tabs; the sweep tries again. ``recipient``: primary
#: key, ``error``: exception.
read_failed = Signal()

#: A sweep failed, mostly for the database's sake; the next one tries again. ``error``: exception.
sweep_failed = Signal()
