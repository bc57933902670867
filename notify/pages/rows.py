"""Prepares notifications for the inbox page, so that its templates contain no rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from notify.models import LEVEL_NAMES, Notification
from notify.protocol import TaskState
from notify.sending import links


@dataclass
class InboxRow:
    """
    One notification on the page.

    Attributes:
        shown: ``id:arrived``, by which a form names the content that the user was shown.
        url, image, actions: links of schemes that are safe; others are left out.
        can_return: whether it can be taken back from the archive; an expired one cannot.
        percent: how much of a running task is done; ``None`` if that is unknown.
        activity: what a running task does; empty for other notifications.
        others: older notifications of the same group, folded below this one.
    """

    notification: Notification
    shown: str
    level: Any
    url: str
    image: str
    actions: list[dict[str, str]]
    is_running: bool = False
    is_cancellable: bool = False
    can_return: bool = False
    percent: int | None = None
    activity: str = ""
    others: list[InboxRow] = field(default_factory=list)


def rows_of(notifications: Iterable[Notification]) -> list[InboxRow]:
    """Returns the rows in their order, those of one group folded below the newest of them."""
    rows: list[InboxRow] = []
    heads: dict[str, InboxRow] = {}
    for notification in notifications:
        row = _row(notification)
        head = heads.get(notification.group) if notification.group else None
        if head is not None:
            head.others.append(row)
            continue
        rows.append(row)
        heads[notification.group] = row
    return rows


def _row(notification: Notification) -> InboxRow:
    row = InboxRow(
        notification,
        shown=f"{notification.pk}:{notification.arrived}",
        level=LEVEL_NAMES.get(notification.level, notification.level),
        url=_safe(notification.url),
        image=_safe(notification.image),
        actions=[action for action in notification.actions if _safe(action.get("url"))],
    )
    expires_at = notification.expires_at
    is_over = expires_at is not None and expires_at <= timezone.now()
    row.can_return = notification.archived_at is not None and not is_over
    progress = notification.progress
    if progress and TaskState(progress["state"]).is_live:
        row.is_running = True
        row.is_cancellable = progress["cancellable"] and progress["state"] != TaskState.CANCELLING
        row.activity = _activity(progress)
        if progress["total"]:
            row.percent = min(100, int(100 * progress["done"] / progress["total"]))
    return row


def _activity(progress: dict[str, Any]) -> str:
    if progress["state"] == TaskState.QUEUED:
        return _("Waiting to start")
    if progress["state"] == TaskState.CANCELLING:
        return _("Cancelling…")
    return progress["message"] or (_("No response for a while") if progress["silent"] else "")


def _safe(url: Any) -> str:
    """Returns a link as it is stored, or an empty string if its scheme is not allowed."""
    return url if isinstance(url, str) and links.is_url(url) else ""
