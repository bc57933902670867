"""What has happened in the back office within the last week, so that no inbox is empty at first."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.urls import reverse_lazy

import notify
from notify.models import Notification

READ_BEFORE = 2  # days; who was at work then has read what came

# Days and hours ago, the level, the title, the message, and what else the notification has. The oldest
# are first.
EVENTS: list[tuple[float, str, str, str, dict[str, Any]]] = [
    (
        6.9,
        "success",
        "Import finished",
        "312 customers were imported from customers-june.csv.",
        {"category": "imports"},
    ),
    (
        6.4,
        "info",
        "Nightly backup",
        "The backup of the ledger took 4 minutes.",
        {"category": "backups", "group": "backups"},
    ),
    (6.1, "warning", "Rate changed", "The rate of VAT in Finland is 25.5 % from today on.", {}),
    (
        5.4,
        "info",
        "Nightly backup",
        "The backup of the ledger took 4 minutes.",
        {"category": "backups", "group": "backups"},
    ),
    (
        5.2,
        "error",
        "Import failed",
        "Line 41 of suppliers.csv has no date. Nothing was imported.",
        {"category": "imports", "url": reverse_lazy("imports")},
    ),
    (
        5.1,
        "success",
        "Import finished",
        "87 suppliers were imported from suppliers.csv.",
        {"category": "imports"},
    ),
    (
        4.4,
        "info",
        "Nightly backup",
        "The backup of the ledger took 5 minutes.",
        {"category": "backups", "group": "backups"},
    ),
    (
        4.0,
        "info",
        "Bob assigned an invoice to you",
        "Invoice 1042 of Baker & Sons over 1,980.00 is yours to check.",
        {"category": "invoices"},
    ),
    (
        3.4,
        "info",
        "Nightly backup",
        "The backup of the ledger took 4 minutes.",
        {"category": "backups", "group": "backups"},
    ),
    (
        3.1,
        "success",
        "Payment received",
        "Baker & Sons have paid invoice 1042.",
        {"category": "invoices"},
    ),
    (
        2.4,
        "info",
        "Nightly backup",
        "The backup of the ledger took 4 minutes.",
        {"category": "backups", "group": "backups"},
    ),
    (
        1.9,
        "warning",
        "Invoice overdue",
        "Invoice 1029 of Marsh Ltd was due a week ago.",
        {"category": "invoices"},
    ),
    (
        1.4,
        "info",
        "Nightly backup",
        "The backup of the ledger took 4 minutes.",
        {"category": "backups", "group": "backups"},
    ),
    (
        0.9,
        "success",
        "Export ready",
        "The ledger of the second quarter was exported to 12 files.",
        {"category": "exports"},
    ),
    (
        0.4,
        "info",
        "Nightly backup",
        "The backup of the ledger took 6 minutes.",
        {"category": "backups", "group": "backups"},
    ),
    (
        0.1,
        "info",
        "Bob mentioned you",
        "“Can you look at the totals of Marsh Ltd before Friday?”",
        {"category": "invoices", "url": reverse_lazy("send")},
    ),
]


def remember(user: Any, now: datetime) -> None:
    """Give a user who has no notifications those of the last week. The newest are unread."""
    if Notification.objects.filter(recipient=user).exists():
        return
    with transaction.atomic():
        for days, level, title, message, options in EVENTS:
            sent = notify.send(user, message, level=level, title=title, toast=False, **options)
            # A send is dated now. Before the commit it is not published, so no page has its date yet.
            then = now - timedelta(days=days)
            Notification.objects.filter(pk=sent.pk).update(created_at=then, updated_at=then)
    old = Notification.objects.filter(
        recipient=user, created_at__lt=now - timedelta(days=READ_BEFORE)
    )
    notify.inbox.mark_read(user, old)
