"""Prepares notifications for the inbox page, so that its templates contain no rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from notify.models import LEVEL_NAMES, Notification
from notify.protocol import TaskState
from notify.sending import links


@dataclass(frozen=True, slots=True)
class RowAction:
    """
    An action of a notification on the page: a link, or a button by its index.

    Attributes:
        url: of a link; empty for an action that the server runs.
        confirm: what the user is asked before the server runs it; may be empty.
    """

    index: int
    label: str
    url: str = ""
    style: str = ""
    confirm: str = ""


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """The outcome of the action that was taken, with a link whose scheme is safe."""

    message: str
    level: str
    url: str


@dataclass
class InboxRow:
    """
    One notification on the page.

    Attributes:
        shown: ``id:arrived``, by which a form names the content that the user was shown.
        url, image: links of schemes that are safe; others are left out.
        actions: links, also only safe ones, and the actions that the server can still run.
        outcome: of the action that was taken; ``None`` if none was taken.
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
    actions: list[RowAction]
    outcome: RowOutcome | None = None
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
        actions=[],
    )
    expires_at = notification.expires_at
    is_over = expires_at is not None and expires_at <= timezone.now()
    row.actions = list(_actions(notification, can_run=not (is_over or notification.acted_at)))
    if notification.outcome:
        row.outcome = _outcome(notification.outcome)
    row.can_return = notification.archived_at is not None and not is_over
    progress = notification.progress
    if progress and TaskState(progress["state"]).is_live:
        row.is_running = True
        row.is_cancellable = progress["cancellable"] and progress["state"] != TaskState.CANCELLING
        row.activity = _activity(progress)
        if progress["total"]:
            row.percent = min(100, int(100 * progress["done"] / progress["total"]))
    return row


def _actions(notification: Notification, *, can_run: bool) -> Iterator[RowAction]:
    for index, entry in enumerate(notification.actions):
        if "run" in entry:
            if can_run:
                style, confirm = entry.get("style", ""), entry.get("confirm", "")
                yield RowAction(index, entry["label"], style=style, confirm=confirm)
        elif url := _safe(entry.get("url")):
            yield RowAction(index, entry["label"], url)


def _outcome(outcome: dict[str, Any]) -> RowOutcome:
    return RowOutcome(outcome["message"], outcome["level"], _safe(outcome["url"]))


def _activity(progress: dict[str, Any]) -> str:
    if progress["state"] == TaskState.QUEUED:
        return _("Waiting to start")
    if progress["state"] == TaskState.CANCELLING:
        return _("Cancelling…")
    return progress["message"] or (_("No response for a while") if progress["silent"] else "")


def _safe(url: Any) -> str:
    """Returns a link as it is stored, or an empty string if its scheme is not allowed."""
    return url if isinstance(url, str) and links.is_url(url) else ""
