"""A new epoch: when it begins, that it sorts above the known ones, and that readers are rung."""

from __future__ import annotations

import time

import pytest
from django.db import connection

import notify
from notify import mac, signals
from notify.mailbox import epochs
from notify.models import Mailbox, MailboxQuerySet, Notification
from notify.protocol import Cursor, age_of, is_plausible, new_epoch
from tests.kit.mailboxes import Failing, age, contention, epoch_of_before, mailbox_of

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


def new_epoch_of_before(seconds):
    """An epoch without a code, as earlier versions have made it."""
    with pytest.MonkeyPatch.context() as clock:
        before = time.time() - seconds
        clock.setattr(time, "time", lambda: before)
        return new_epoch()


def proves(user, since):
    return epochs.proves_restore(user.pk, since, mailbox_of(user).cursor)


def test_a_cursor_of_the_mailbox_that_is_beyond_its_head_proves_a_restore(user, settings):
    """Only its readers know the epoch, so it needs no code: it may be older than the code, or the key."""
    notify.send(user, "one")
    for epoch in (epoch_of_before(user), new_epoch_of_before(3600)):
        Mailbox.objects.update(epoch=epoch)
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = f"after {epoch}", []
        assert not proves(user, Cursor(epoch, 1))
        assert proves(user, Cursor(epoch, 2))


def test_a_later_epoch_proves_a_restore_if_the_site_has_made_it_for_this_user(user, other_user):
    """A backup was restored that is older than the last new epoch."""
    notify.send(user, "one")
    age(user)
    assert proves(user, Cursor(mac.new_epoch(user.pk), 0))
    assert not proves(user, Cursor(mac.new_epoch(other_user.pk), 0))
    assert not proves(user, Cursor(new_epoch(), 0))


def test_a_later_epoch_still_proves_a_restore_after_the_key_was_rotated(user, settings):
    """It does for as long as the old key is one of the fallbacks."""
    notify.send(user, "one")
    age(user)
    later = Cursor(mac.new_epoch(user.pk), 0)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the new key"
    assert proves(user, later)
    settings.SECRET_KEY_FALLBACKS = []
    assert not proves(user, later)


def test_a_mailbox_is_not_restored_twice_in_a_minute(user, monkeypatch):
    """Its owner can make up positions in its epoch, and each new epoch loses the marks of open tabs."""
    notify.send(user, "one")
    beyond = Cursor(age(user).epoch, 99)
    assert proves(user, beyond)
    epochs.start_over([user.pk], beyond)
    beyond = Cursor(mailbox_of(user).epoch, 99)
    assert not proves(user, beyond)
    made = time.time() - age_of(beyond.epoch)
    monkeypatch.setattr(time, "time", lambda: made + epochs.PROOFS_APART - 0.01)
    assert not proves(user, beyond)
    monkeypatch.setattr(time, "time", lambda: made + epochs.PROOFS_APART + 0.01)
    assert proves(user, beyond)


def test_a_mailbox_whose_epoch_is_in_the_future_can_be_restored(user):
    """The clock has stepped back since. Otherwise its readers might stay above it for as long."""
    notify.send(user, "one")
    Mailbox.objects.update(epoch=(epoch := epoch_of_before(user, -3600)))
    assert proves(user, Cursor(epoch, 2))


def test_a_mailbox_whose_epoch_was_removed_by_hand_can_be_restored(user):
    notify.send(user, "one")
    Mailbox.objects.update(epoch="")
    assert not proves(user, Cursor("v" * 17, 2))
    assert proves(user, Cursor(mac.new_epoch(user.pk), 2))


def test_a_cursor_beyond_the_head_starts_a_new_epoch(user, monkeypatch):
    """The epoch is above those of the mailbox and the reader, so every reader starts over."""
    notify.send(user, "one")
    box = mailbox_of(user)
    # The clock of the reader's server was an hour ahead.
    with monkeypatch.context() as another_clock:
        in_an_hour = time.time() + 3600
        another_clock.setattr(time, "time", lambda: in_an_hour)
        later = new_epoch()
    for beyond in (Cursor(box.epoch, box.head + 1), Cursor(later, 1)):
        epochs.start_over([user.pk], beyond)
        assert mailbox_of(user).epoch > max(box.epoch, beyond.epoch)
        assert mailbox_of(user).cursor > beyond
        assert is_plausible(mailbox_of(user).epoch)
    assert mailbox_of(user).head == box.head


def test_a_cursor_that_the_mailbox_has_reached_keeps_the_epoch(user):
    """Of two readers that ask at once, the second finds the mailbox above its cursor."""
    notify.send(user, "one")
    box = mailbox_of(user)
    epochs.start_over([user.pk], box.cursor)
    epochs.start_over([user.pk], Cursor("0" * 17, 99))
    assert mailbox_of(user).epoch == box.epoch
    assert connection.in_atomic_block is False
    assert Notification.objects.count() == 1


def test_a_new_epoch_is_rung(user, rings):
    """The ring has no rows, so the tabs of all processes read at once, not at their next sweep."""
    notify.send(user, "one")
    before = mailbox_of(user)
    rings.clear()
    epochs.start_over([user.pk], Cursor(before.epoch, before.head + 1))
    (ring,) = rings
    assert (ring.recipient_id, ring.rows, ring.counts) == (user.pk, None, (1, 1))
    assert (ring.since, ring.cursor) == (before.cursor, mailbox_of(user).cursor)
    rings.clear()
    epochs.start_over([user.pk], before.cursor)
    assert rings == []


@pytest.mark.parametrize("made_up", ["", "noon", "v" * 17])
def test_an_epoch_that_no_clock_has_made_is_replaced_and_not_rung(user, rings, made_up):
    """It may be later than all that are to come, and other processes could not read it."""
    notify.send(user, "one")
    Mailbox.objects.update(epoch=made_up)
    rings.clear()
    epochs.start_over([user.pk])
    assert is_plausible(mailbox_of(user).epoch)
    (ring,) = rings
    assert ring.since == ring.cursor == mailbox_of(user).cursor


def test_a_new_epoch_that_meets_a_deadlock_is_tried_again(user, monkeypatch):
    notify.send(user, "one")
    before = mailbox_of(user)
    lock = Failing(MailboxQuerySet.lock, 4, contention())
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    epochs.start_over([user.pk], Cursor(before.epoch, before.head + 1))
    assert mailbox_of(user).epoch > before.epoch


def test_a_new_epoch_emits_no_published(user, other_user):
    """No row has changed, so a receiver has nothing to do."""
    notify.send_many([user, other_user], "one")
    emitted = []
    signals.published.connect(lambda **kwargs: emitted.append(1), weak=False, dispatch_uid="here")
    try:
        assert epochs.start_over([user.pk, other_user.pk]) == 2
    finally:
        signals.published.disconnect(dispatch_uid="here")
    assert emitted == []
