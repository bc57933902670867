"""
A new epoch makes the readers of a mailbox start over, because its positions now mean something else.

That happens when a backup is restored. A reader with an earlier epoch gets a snapshot. Epochs are
ordered, so a late ring of the old epoch changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from notify import mac
from notify.db import tries_again
from notify.exceptions import ProtocolError
from notify.mailbox.change import LockedMailbox, locked
from notify.protocol import Cursor, age_of, is_plausible

# Seconds for which cursors prove nothing to a mailbox with a new epoch. A restored mailbox has an old one.
PROOFS_APART = 60.0


def proves_restore(recipient_id: Any, since: Cursor, mailbox: Cursor) -> bool:
    """
    Returns whether a reader's cursor proves that the database was restored: it is above the mailbox, and
    this site has made it.

    A new epoch discards the marks that open tabs are about to send. So a user who makes up positions in
    the epoch of their own mailbox can cause this at most once in ``PROOFS_APART`` seconds.

    Args:
        recipient_id: primary key of the user.
        since: the reader's cursor.
        mailbox: the cursor of the mailbox.
    """
    if since <= mailbox or not is_plausible(since.epoch):
        return False
    # An epoch of the future shows that the clock has stepped back, and readers may have later ones.
    if is_epoch(mailbox.epoch) and 0 <= age_of(mailbox.epoch) < PROOFS_APART:
        return False
    # Only readers of this mailbox know its epoch, so an epoch without a MAC, or with one under a SECRET_KEY
    # that is no longer valid, is a proof as well.
    return since.epoch == mailbox.epoch or mac.is_own_epoch(since.epoch, recipient_id)


@tries_again
def start_over(recipient_ids: Collection[Any], beyond: Cursor | None = None) -> int:
    """
    Give mailboxes a new epoch, in one transaction, and ring their open tabs, which then read.

    Args:
        beyond: the cursor of a reader that :func:`proves_restore`; only mailboxes that have not reached
            it get a new epoch.

    Returns the number of mailboxes that have a new epoch.
    """
    with locked(recipient_ids, emits=False) as change:
        for mailbox in change.mailboxes.values():
            if beyond is None or beyond > mailbox.box.cursor:
                begin_epoch(mailbox, beyond)
    return len(change.pages)


def begin_epoch(mailbox: LockedMailbox, beyond: Cursor | None = None) -> None:
    """Give a locked mailbox a new epoch, later than its present epoch and that of ``beyond``."""
    box = mailbox.box
    before = box.cursor
    latest = max(box.epoch, beyond.epoch if beyond else "")
    box.epoch = mac.new_epoch(box.pk, after=latest if is_epoch(latest) else "")
    # Other processes could not parse a ring whose first cursor has a malformed epoch.
    mailbox.since = before if is_epoch(before.epoch) else box.cursor
    mailbox.lists_rows = False


def is_epoch(text: str) -> bool:
    """Returns whether a clock could have made this epoch. A made-up one might never be exceeded."""
    try:
        return is_plausible(Cursor.parse(f"{text}:0").epoch)
    except ProtocolError:
        return False
