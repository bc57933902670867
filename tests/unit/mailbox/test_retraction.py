"""Untrue notifications are taken back, and done ones are archived by their key, group or category."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

import notify
from notify import inbox
from notify.mailbox import retraction
from notify.models import Notification
from notify.tracking import flush
from tests.kit.mailboxes import assert_sound, leave_waiting, mailbox_of, rows_of
from tests.kit.sessions import rolled_back

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


def standing(user):
    return [row.message for row in rows_of(user) if row.archived_at is None]


def test_a_retracted_row_leaves_counts_and_lists_in_one_change(user, other_user, rings):
    notify.send(user, "stays")
    notify.send(user, "untrue", key="k")
    notify.send(other_user, "of another", key="k")
    before = mailbox_of(user).cursor
    retraction.retract(user.pk, "k")
    assert standing(user) == ["stays"]
    assert standing(other_user) == ["of another"]
    assert mailbox_of(user).counts == (1, 1)
    (row,) = rings[-1].rows
    assert (rings[-1].since, row.message, bool(row.archived_at)) == (before, "untrue", True)
    assert inbox.page(user, "archived").notifications == []
    assert_sound(user)


def test_a_row_that_still_waits_is_retracted_too(user):
    leave_waiting(user, "untrue", collapse_key="k")
    retraction.retract(user.pk, "k")
    assert standing(user) == []
    assert mailbox_of(user).counts == (0, 0)


def test_a_key_is_exact(user):
    """MariaDB, too, distinguishes upper and lower case here."""
    for key in ("K", "k ", "k"):
        notify.send(user, key, key=key)
    retraction.retract(user.pk, "k")
    assert standing(user) == ["K", "k "]


def test_nothing_is_written_if_there_is_no_such_row(user, rings):
    notify.send(user, "one")
    before = mailbox_of(user).cursor, len(rings)
    retraction.retract(user.pk, "k")
    assert (mailbox_of(user).cursor, len(rings)) == before


def test_in_a_transaction_only_what_was_sent_before_is_retracted(user):
    with transaction.atomic():
        notify.send(user, "old", key="k")
        retraction.retract(user.pk, "k")
        notify.send(user, "new", key="k")
        assert not rows_of(user)
    assert standing(user) == ["new"]
    with transaction.atomic():
        notify.send(user, "other")
        notify.send(user, "newer", key="k")
        retraction.retract(user.pk, "k")
    assert standing(user) == ["other"]


def test_after_a_rollback_nothing_is_retracted(user):
    notify.send(user, "one", key="k", category="c")
    with rolled_back():
        retraction.retract(user.pk, "k")
        retraction.clear(user.pk, {"category": "c"})
    assert standing(user) == ["one"]


def test_inside_a_transaction_rows_are_archived_after_the_commit(user):
    notify.send(user, "one", category="c")
    with transaction.atomic():
        inbox.clear(user, category="c")
        assert Notification.objects.unarchived().exists()
    assert standing(user) == []


def test_the_public_call_takes_a_user_and_a_key(user):
    notify.send(user, "one", key="k")
    async_to_sync(notify.aretract)(user.pk, "k")
    assert standing(user) == []
    with pytest.raises(ValueError, match="needs the key"):
        notify.retract(user, "")
    with pytest.raises(TypeError, match="Call it for each user"):
        notify.retract([user], "k")


def test_a_key_may_be_anything_that_a_send_takes(user):
    notify.send(user, "one", key=7)  # type: ignore[arg-type]
    notify.send(user, "two", category=0)  # type: ignore[arg-type]
    notify.retract(user, 7)  # type: ignore[arg-type]
    assert standing(user) == ["two"]
    inbox.clear(user, category=0)  # type: ignore[arg-type]
    assert standing(user) == []


def test_a_row_that_the_user_has_archived_is_retracted_too(user, rings):
    row = notify.send(user, "one", key="k")
    inbox.mark_archived(user, [row])
    before = mailbox_of(user)
    retraction.retract(user.pk, "k")
    assert inbox.page(user, "archived").notifications == []
    assert mailbox_of(user).counts == before.counts
    (rung,) = rings[-1].rows
    assert (rung.pk, rung.position) == (row.pk, before.head + 1)
    inbox.unarchive(user, [row])
    assert standing(user) == []
    assert_sound(user)


def test_a_task_that_was_retracted_stays_in_no_list(user):
    with notify.progress(user, "Import", key="k", total=2) as task:
        flush()
        retraction.retract(user.pk, "k")
        task.advance()
    assert [inbox.page(user, view).notifications for view in ("all", "archived")] == [[], []]


def test_clear_in_a_transaction_archives_nothing_that_is_sent_later(user):
    with transaction.atomic():
        notify.send(user, "old", category="c")
        inbox.clear(user, category="c")
        notify.send(user, "new", category="c")
    assert standing(user) == ["new"]


def test_clear_archives_what_has_all_the_names(user):
    notify.send(user, "a", category="orders", group="7")
    notify.send(user, "b", category="orders", group="8")
    notify.send(user, "c", category="others", group="7", key="k")
    inbox.clear(user, category="orders", group="7")
    assert standing(user) == ["b", "c"]
    inbox.clear(user, key="k")
    assert standing(user) == ["b"]
    async_to_sync(inbox.aclear)(user, group="8")
    assert [row.message for row in inbox.page(user, "archived").notifications] == ["c", "b", "a"]
    assert mailbox_of(user).counts == (0, 0)
    with pytest.raises(ValueError, match="needs a key, a group or a category"):
        inbox.clear(user, key="")


def test_what_was_cleared_can_be_unarchived_and_what_was_retracted_cannot(user):
    cleared = notify.send(user, "cleared", category="c")
    untrue = notify.send(user, "untrue", key="k", expires=timedelta(days=1))
    inbox.clear(user, category="c")
    retraction.retract(user.pk, "k")
    inbox.unarchive(user, [cleared, untrue])
    assert standing(user) == ["cleared"]
    assert_sound(user)
