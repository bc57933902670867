from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import notify
from notify import inbox
from notify.mailbox import retention
from notify.mailbox.retention import Pruned
from notify.models import MailboxQuerySet, Notification
from tests.kit.mailboxes import Failing, contention, rows_of

pytestmark = [
    pytest.mark.database,
    pytest.mark.users,
    pytest.mark.django_db(transaction=True),
]


def run(*arguments: str) -> str:
    """Run the command. Returns its output."""
    output = io.StringIO()
    call_command("notify_prune", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def old(user: Any) -> Any:
    """A user with two notifications to delete, and one of each kind to archive."""
    archived = [notify.send(user, "archived") for _ in range(2)]
    read = notify.send(user, "read")
    notify.send(user, "expired", expires=timedelta(days=1))
    notify.send(user, "unread")
    inbox.mark_archived(user, archived)
    inbox.mark_read(user, [read])
    moments = ("archived_at", "read_at", "seen_at", "expires_at", "created_at", "updated_at")
    for row in rows_of(user):
        changed = {name: getattr(row, name) for name in moments}
        Notification.objects.filter(pk=row.pk).update(
            **{name: moment and moment - timedelta(days=99) for name, moment in changed.items()}
        )
    return user


def test_it_says_what_it_did_in_one_line(old, settings):
    settings.NOTIFY_RETENTION_UNREAD = timedelta(days=50)
    assert run() == ("Notifications archived: 3 (1 expired, 1 read, 1 unread), deleted: 2.\n")
    assert run() == "Notifications archived: 0 (0 expired, 0 read, 0 unread), deleted: 0.\n"
    assert sum(row.archived_at is not None for row in rows_of(old)) == 3


def test_a_dry_run_says_what_it_would_do(old):
    before = list(Notification.objects.order_by("pk").values())
    assert run("--dry-run") == (
        "Notifications that would be archived: 2 (1 expired, 1 read, 0 unread), deleted: 2.\n"
    )
    assert list(Notification.objects.order_by("pk").values()) == before


def test_the_batch_size_is_passed_on(monkeypatch):
    asked = []
    monkeypatch.setattr(retention, "run", lambda **options: asked.append(options) or Pruned())
    run()
    run("--batch-size", "7", "--dry-run")
    assert asked == [
        {"dry_run": False, "batch_size": retention.ROWS_AT_ONCE},
        {"dry_run": True, "batch_size": 7},
    ]


@pytest.mark.parametrize("size", ["0", "-1", "many"])
def test_a_batch_has_a_row_at_least(size):
    with pytest.raises(CommandError, match="--batch-size"):
        run("--batch-size", size)


def test_a_setting_that_is_wrong_is_a_command_error(settings):
    settings.NOTIFY_RETENTION_ARCHIVED = 30
    with pytest.raises(CommandError, match="NOTIFY_RETENTION_ARCHIVED = 30 is not a timedelta"):
        run()


def test_mailboxes_that_were_left_are_an_error(old, monkeypatch):
    """The error follows the summary, so that cron reports it."""
    lock = Failing(MailboxQuerySet.lock, 5, contention())
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    output = io.StringIO()
    with pytest.raises(CommandError, match="had locked them: 1"):
        call_command("notify_prune", stdout=output)
    assert output.getvalue().startswith("Notifications archived: 0")
