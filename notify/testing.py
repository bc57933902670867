"""
For the tests of a project that uses notify; works in a plain ``TestCase``, without a server.

    from notify.testing import assert_notified

    def test_export(self):
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post("/exports/")
        assert_notified(self.user, "export is ready", level="success")
"""

from __future__ import annotations

from typing import Any

from notify import inbox
from notify.models import Notification, database


def sent(to: Any = None) -> list[Notification]:
    """
    What was sent, oldest first, waiting for its commit or published.

    Args:
        to: only to this user (or primary key).
    """
    rows = Notification.objects.using(database()).order_by("pk")
    return list(rows if to is None else rows.filter(recipient=inbox.key(to)))


def assert_notified(to: Any, message: str = "", **fields: Any) -> Notification:
    """
    Fail unless the user was sent a notification; returns the newest that fits.

    Args:
        message: a part of its message.
        fields: values that it has, such as ``level="success"`` or ``url="/exports/7/"``.
    """
    all_sent = sent(to)
    for notification in reversed(all_sent):
        if message in notification.message and _has(notification, fields):
            return notification
    wanted = ", ".join(
        [f"message with {message!r}"] * bool(message) + [f"{k}={v!r}" for k, v in fields.items()]
    )
    found = (
        "".join(f"\n  {row.level}: {row.message!r} (url={row.url!r})" for row in all_sent)
        or " nothing"
    )
    raise AssertionError(
        f"{to} was not sent a notification with {wanted or 'anything'}. Sent:{found}"
    )


def assert_not_notified(to: Any, message: str = "", **fields: Any) -> None:
    """Fail if the user was sent a notification that fits. Arguments as in :func:`assert_notified`."""
    try:
        found = assert_notified(to, message, **fields)
    except AssertionError:
        return
    raise AssertionError(f"{to} was sent {found.level}: {found.message!r} (url={found.url!r}).")


def _has(notification: Notification, fields: dict[str, Any]) -> bool:
    names = {"key": "collapse_key", "expires": "expires_at"}
    return all(
        getattr(notification, names.get(name, name)) == value for name, value in fields.items()
    )
