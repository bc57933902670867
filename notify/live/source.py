"""
The source that rooms read from: the only module of ``live`` that reads mailboxes.

A room serves one *audience*, which is the tabs of one user. A source serves all rooms of one kind, and
a *key* distinguishes them. A mailbox's key is the user's primary key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from notify import doorbell, inbox
from notify.inbox import upkeep
from notify.protocol import Changes, Cursor


class Source(Protocol):
    """A room's access to the rows. ``read`` and ``look`` run queries, so they are called in a thread."""

    def name(self, key: Any) -> str:
        """Returns the room's name, which is also the name of its group in the channel layer."""

    def read(self, key: Any, since: Cursor | None) -> Changes:
        """
        Returns the changes since a cursor, or a snapshot if the history since that cursor is not
        available.
        """

    def look(self, keys: Sequence[Any]) -> Mapping[Any, Cursor | None]:
        """Returns the current cursor of each key. Keys that no longer exist are omitted."""

    def encode(self, key: Any, changes: Changes) -> str:
        """Returns the text that is written to every connection of the room."""


class Mailboxes:
    """The source of the rooms that show a user's mailbox."""

    def name(self, key: Any) -> str:
        return doorbell.group_of(str(key))

    def read(self, key: Any, since: Cursor | None) -> Changes:
        return inbox.changes(key, since).changes()

    def read_or_make(self, key: Any, since: Cursor | None) -> Changes:
        """Call :meth:`read`, and make a missing mailbox, because a client cannot wait without a cursor."""
        changes = self.read(key, since)
        if changes.cursor is None:
            upkeep.tend(upkeep.look_at([key]), made=True)
            changes = self.read(key, None)
        return changes

    def look(self, keys: Sequence[Any]) -> Mapping[Any, Cursor | None]:
        """
        Returns the cursors, after publishing rows that were left in the outbox, and archiving expired
        ones.
        """
        glances = upkeep.look_at(keys)
        needing = [glance for glance in glances if glance.needs_work]
        if needing:
            upkeep.tend(needing, skips=True)  # one locked mailbox must not keep all rooms waiting
            glances = upkeep.look_at(keys)
        return {glance.recipient_id: glance.cursor for glance in glances}

    def encode(self, key: Any, changes: Changes) -> str:
        return changes.encode()


MAILBOXES = Mailboxes()
