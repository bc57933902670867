"""Takes back notifications that have become untrue, and archives a user's notifications by what they name."""

from __future__ import annotations

from typing import Any

from django.db import connections, transaction
from django.db.models import Q

from notify.db import database, in_callers_transaction
from notify.mailbox import marks, outbox
from notify.models import Notification


def retract(recipient_id: Any, key: str) -> None:
    """
    Take back the notifications with this key that have been sent by now.

    Inside the caller's transaction, they are taken back after the commit. Notifications that are sent with
    the same key in between stay, even if they are merged into the same row.
    """
    using = database()
    rows = Notification.objects.using(using).unarchived().filter(recipient=recipient_id)
    sent = rows.filter(collapse_key=key).values_list("collapse_key", "updated_at")
    moments = [moment for exact, moment in sent if exact == key]  # a collation may ignore case
    if not moments:
        return

    def work() -> None:
        outbox.publish([recipient_id])
        which = Q(updated_at__in=moments)
        marks.archive(recipient_id, which, named={"collapse_key": key}, retracts=True)

    if in_callers_transaction(connections[using]):
        transaction.on_commit(work, using=using, robust=True)
    else:
        work()


def clear(recipient_id: Any, named: dict[str, str]) -> None:
    """
    Archive the notifications that have these values, which had been published by now.

    Inside the caller's transaction, they are archived after the commit.
    """
    using = database()

    def work() -> None:
        marks.archive(recipient_id, Q(), named=named)

    if in_callers_transaction(connections[using]):
        transaction.on_commit(work, using=using, robust=True)
    else:
        work()
