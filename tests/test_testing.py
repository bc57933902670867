from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import TestCase

import notify
from notify.testing import assert_not_notified, assert_notified, sent

pytestmark = [pytest.mark.django_db, pytest.mark.users]


def test_what_was_sent_is_listed_oldest_first(user, other_user):
    one, two, three = notify.send(user, "1"), notify.send(other_user, "2"), notify.send(user, "3")
    assert sent() == [one, two, three]
    assert sent(user) == sent(user.pk) == [one, three]
    assert sent(other_user) == [two]


def test_a_notification_that_fits_is_found(user):
    """The newest, by a part of its message and by whole values."""
    first = notify.send(user, "Your export is ready", level="success", url="/exports/7/")
    second = notify.send(user, "Your export is ready", level="success", url="/exports/8/")
    assert assert_notified(user) == second
    assert assert_notified(user, "export is") == second
    assert assert_notified(user, "export", level="success", url="/exports/7/") == first
    assert_not_notified(user, "import")
    assert_not_notified(user, "export", level="error")


def test_key_and_expires_go_by_the_names_of_send(user):
    row = notify.send(user, "Hello", key="k", expires=timedelta(days=1))
    assert isinstance(row.expires_at, datetime)
    assert assert_notified(user, key="k", expires=row.expires_at) == row
    assert_not_notified(user, key="other")
    assert_not_notified(user, expires=None)


def test_a_failure_says_what_was_sent_instead(user, other_user):
    with pytest.raises(AssertionError) as caught:
        assert_notified(user, "ready", level="success")
    assert str(caught.value) == (
        f"{user} was not sent a notification with message with 'ready', level='success'."
        " Sent: nothing"
    )
    notify.error(user, "It failed", url="/x/")
    with pytest.raises(AssertionError, match=r"Sent:\n  error: 'It failed' \(url='/x/'\)$"):
        assert_notified(user, "ready")
    with pytest.raises(AssertionError, match=r"was sent error: 'It failed' \(url='/x/'\)"):
        assert_not_notified(user, "failed")
    with pytest.raises(AssertionError, match=r"with anything\. Sent: nothing"):
        assert_notified(other_user)


def test_a_misspelt_field_is_no_quiet_success(user):
    notify.send(user, "Hello")
    with pytest.raises(AttributeError, match="lebel"):
        assert_not_notified(user, lebel="info")


class PlainTestCase(TestCase):
    """How a project tests, without pytest."""

    def setUp(self) -> None:
        model = get_user_model()
        self.user = model(**{model.USERNAME_FIELD: "carol@example.com"})
        if model._meta.pk.name == "code":
            self.user.pk = "carol"
        self.user.save()

    def test_a_send_is_published_at_once(self) -> None:
        """The transaction of the test case does not count."""
        assert notify.send(self.user, "Hello").position == 1
        assert notify.inbox.counts(self.user) == (1, 1)
        assert_notified(self.user, "Hello", level="info")

    def test_a_send_in_a_transaction_is_published_by_its_callbacks(self) -> None:
        with self.captureOnCommitCallbacks(execute=True) as callbacks, transaction.atomic():
            notify.send(self.user, "Your export is ready", level="success")
            assert notify.inbox.counts(self.user) == (0, 0)
        assert len(callbacks) == 1
        assert notify.inbox.counts(self.user) == (1, 1)
        assert_notified(self.user, "export is ready", level="success")

    def test_what_waits_was_sent_too(self) -> None:
        """Whoever forgets the callbacks still sees what his code did."""
        with transaction.atomic():
            notify.send(self.user, "Hello")
        assert_notified(self.user, "Hello", position=None)

    def test_a_rollback_sends_nothing(self) -> None:
        with transaction.atomic():
            notify.send(self.user, "Hello")
            transaction.set_rollback(True)
        assert_not_notified(self.user)
        assert sent() == []
