"""
The import from django-notifications-hq, on a stand-in for its model.

The stand-in has the fields of its ``AbstractNotification``. tests/projects/test_migrate.py runs the command
with the real package.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, models
from django.test.utils import isolate_apps
from django.utils import timezone

import notify
from notify import signals
from notify.mailbox import integrity
from notify.management import foreign
from notify.management.foreign import Copying
from notify.models import Notification
from tests.kit.mailboxes import mailbox_of, messages_of, recount, rows_of

pytestmark = [
    pytest.mark.database,
    pytest.mark.users,
    pytest.mark.django_db(transaction=True),
]


def of_type(**options: Any) -> Any:
    return models.ForeignKey(
        ContentType, models.CASCADE, related_name="+", db_constraint=False, **options
    )


with isolate_apps("tests"):

    class Original(models.Model):
        recipient = models.ForeignKey(
            get_user_model(), models.CASCADE, related_name="+", db_constraint=False
        )
        level = models.CharField(max_length=20, default="info")
        unread = models.BooleanField(default=True)
        actor_content_type = of_type()
        actor_object_id = models.CharField(max_length=255)
        verb = models.CharField(max_length=255)
        description = models.TextField(null=True)  # noqa: DJ001
        target_content_type = of_type(null=True)
        target_object_id = models.CharField(max_length=255, null=True)  # noqa: DJ001
        action_object_content_type = of_type(null=True)
        action_object_object_id = models.CharField(max_length=255, null=True)  # noqa: DJ001
        timestamp = models.DateTimeField(default=timezone.now)
        public = models.BooleanField(default=True)
        deleted = models.BooleanField(default=False)
        emailed = models.BooleanField(default=False)
        data = models.JSONField(null=True)

        class Meta:
            app_label = "tests"
            db_table = "tests_original"

        def __str__(self) -> str:
            return self.verb


NOW = timezone.now().replace(microsecond=0)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with connection.schema_editor() as editor:
        editor.create_model(Original)
    monkeypatch.setattr(foreign, "model_of_the_package", lambda: Original)
    yield Original
    monkeypatch.undo()
    with connection.schema_editor() as editor:
        editor.delete_model(Original)


@pytest.fixture
def remember(model: Any, user: Any) -> Any:
    """Returns a function that stores a notification for the user, as the package does."""

    def store(verb: str, hours: float = 1, **values: Any) -> Any:
        for role in ("actor", "target", "action_object"):
            thing = values.pop(role, user if role == "actor" else None)
            if thing is not None:
                values[f"{role}_content_type"] = ContentType.objects.get_for_model(thing)
                values[f"{role}_object_id"] = str(thing.pk)
        values = {"recipient": user, "timestamp": NOW - timedelta(hours=hours), **values}
        return Original.objects.create(verb=verb, **values)

    return store


def only(user: Any) -> Notification:
    (row,) = rows_of(user)
    return row


def test_without_the_package_the_error_names_it(settings):
    with pytest.raises(
        ImproperlyConfigured, match=r"'notifications\.Notification'.* INSTALLED_APPS"
    ):
        Copying().run()
    settings.NOTIFICATIONS_NOTIFICATION_MODEL = "no model"
    with pytest.raises(ImproperlyConfigured, match="'no model'"):
        Copying().run()


def test_a_model_that_the_project_has_swapped_is_found(settings):
    settings.NOTIFICATIONS_NOTIFICATION_MODEL = "notify.Notification"
    assert foreign.model_of_the_package() is apps.get_model("notify.Notification")


def test_an_unread_notification_is_unread_and_has_no_toast(remember, user, other_user):
    original = remember("followed", target=other_user, level="success")
    done = Copying().run()
    assert (done.copied, done.users, done.present, done.deleted) == (1, 1, 0, 0)
    row = only(user)
    assert row.message == f"{user} followed {other_user}"
    assert (row.title, row.level, row.url, row.count) == ("", "success", "", 1)
    assert not row.has_toast
    assert row.created_at == row.updated_at == original.timestamp
    assert (row.seen_at, row.read_at, row.archived_at) == (None, None, None)
    assert notify.inbox.counts(user) == (1, 1)


def test_a_read_notification_stays_read(remember, user):
    original = remember("left", unread=False)
    Copying().run()
    row = only(user)
    assert row.seen_at == row.read_at == original.timestamp
    assert notify.inbox.counts(user) == (0, 0)


def test_the_order_is_that_of_the_timestamps(remember, user):
    for hours in (1, 3, 2, 3):
        remember(f"{hours}", hours)
    remember("-", 4, recipient=user)
    Copying(batch_size=2).run()
    page = notify.inbox.page(user)
    expected = [f"{user} {verb}" for verb in ("1", "2", "3", "3", "-")]
    assert [row.message for row in page.notifications] == expected
    assert [row.position for row in rows_of(user)] == [1, 2, 3, 4, 5]
    assert not list(integrity.check())


def test_a_second_run_copies_only_what_is_new(remember, user):
    """Also what the user has archived since is not copied again."""
    remember("old")
    Copying().run()
    notify.inbox.mark_archived(user)
    remember("new", 0.5)
    done = Copying().run()
    assert (done.copied, done.present) == (1, 1)
    assert messages_of(user).count(f"{user} old") == 1
    assert notify.inbox.counts(user) == (1, 1)


def test_a_run_that_stopped_is_resumed(remember, user, monkeypatch):
    for number in range(5):
        remember(f"{number}", 9 - number)
    store = foreign.store
    calls: list[Any] = []

    def stopping(*arguments: Any) -> Any:
        if calls:
            raise KeyboardInterrupt
        calls.append(arguments)
        return store(*arguments)

    monkeypatch.setattr(foreign, "store", stopping)
    with pytest.raises(KeyboardInterrupt):
        Copying(batch_size=2).run()
    monkeypatch.setattr(foreign, "store", store)
    done = Copying(batch_size=2).run()
    assert (done.copied, done.present) == (3, 2)
    assert messages_of(user) == [f"{user} {number}" for number in range(5)]


def test_two_runs_at_the_same_time_copy_nothing_twice(remember, user, monkeypatch):
    """The second run stores between the first run's look at the keys and its own transaction."""
    remember("once")
    objects_of = foreign.objects_of

    def meanwhile(rows: Any) -> Any:
        monkeypatch.setattr(foreign, "objects_of", objects_of)
        assert Copying().run().copied == 1
        return objects_of(rows)

    monkeypatch.setattr(foreign, "objects_of", meanwhile)
    done = Copying().run()
    assert (done.copied, done.present) == (0, 1)
    assert len(rows_of(user)) == 1


def test_a_dry_run_changes_nothing(remember, user):
    remember("left")
    remember("came", deleted=True)
    done = Copying(dry_run=True).run()
    assert (done.copied, done.users, done.deleted) == (1, 1, 1)
    assert not Notification.objects.exists()


def test_deleted_ones_are_left_out_or_go_to_the_archive(remember, user):
    original = remember("left", deleted=True)
    assert Copying().run().deleted == 1
    assert rows_of(user) == []
    assert Copying(with_deleted=True).run().copied == 1
    assert only(user).archived_at == original.timestamp
    assert notify.inbox.counts(user) == (0, 0)
    assert [row.pk for row in notify.inbox.page(user, "archived").notifications] == [only(user).pk]


def test_since_leaves_out_older_ones(remember, user):
    remember("old", 50)
    remember("new", 2)
    assert Copying(since=NOW - timedelta(days=1)).run().copied == 1
    assert only(user).message == f"{user} new"


def test_each_user_gets_their_own(remember, user, other_user):
    remember("one")
    remember("two", recipient=other_user)
    notify.send(other_user, "before")
    assert Copying().run().users == 2
    assert messages_of(user) == [f"{user} one"]
    assert messages_of(other_user) == ["before", f"{user} two"]
    assert mailbox_of(other_user).counts == recount(rows_of(other_user)) == (2, 2)


def test_a_description_is_the_text_below_the_title(remember, user):
    remember("x" * 255, description=" Long \n story ")
    Copying().run()
    row = only(user)
    assert row.message == "Long \n story"
    assert row.title.startswith(f"{user} xxx")
    assert len(row.title) == 200


def test_an_action_object_and_a_target_are_joined_as_the_package_does(remember, user, other_user):
    remember("gave", action_object=user, target=other_user, hours=2)
    remember("praised", action_object=other_user)
    Copying().run()
    assert messages_of(user) == [
        f"{user} gave {user} on {other_user}",
        f"{user} praised {other_user}",
    ]


def test_objects_models_and_keys_that_are_gone_are_left_out(remember, user):
    gone = ContentType.objects.create(app_label="gone", model="thing")
    original = remember("closed")
    Original.objects.filter(pk=original.pk).update(
        actor_object_id="no key of a type",
        target_content_type=gone,
        target_object_id="7",
    )
    Copying(with_urls=True).run()
    row = only(user)
    assert row.message == "closed"
    assert row.url == ""
    assert row.data["notification"]["target"] == {"model": "gone.thing", "pk": "7"}


def test_a_link_leads_to_the_target_where_it_is_asked_for(remember, user, monkeypatch):
    addresses = iter(["/users/1/", "www.example.com", f"/{'x' * 2000}", ""])
    model = get_user_model()
    monkeypatch.setattr(model, "get_absolute_url", lambda self: next(addresses), raising=False)
    for number in range(4):
        remember(f"{number}", 9 - number, **{"action_object" if number else "target": user})
    done = Copying(with_urls=True).run()
    assert [row.url for row in rows_of(user)] == ["/users/1/", "", "", ""]
    assert done.without_url == 2


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (None, {}),
        ({"order": 7}, {"order": 7}),
        ('{"order": 7}', {"order": 7}),
        ("plain", {"data": "plain"}),
        ([1, 2], {"data": [1, 2]}),
        ({"long": "x" * 20_000}, {}),
    ],
)
def test_the_data_is_kept_beside_what_it_was_about(remember, user, theirs, expected):
    original = remember("paid", data=theirs)
    done = Copying().run()
    data = only(user).data
    label = user._meta.label_lower
    assert data.pop("notification") == {
        "id": str(original.pk),
        "verb": "paid",
        "actor": {"model": label, "pk": str(user.pk)},
    }
    assert data == expected
    assert done.without_data == (theirs is not None and "long" in theirs)


def test_an_unknown_level_is_information(remember, user):
    remember("left", level="fancy")
    Copying().run()
    assert only(user).level == "info"


def test_open_tabs_are_rung_and_no_receiver_is_told(remember, user, rings):
    remember("left")
    told: list[Any] = []

    def hear(signal: Any, **kwargs: Any) -> None:
        told.append(signal)

    for signal in (signals.sent, signals.published):
        signal.connect(hear)
    try:
        Copying().run()
    finally:
        for signal in (signals.sent, signals.published):
            signal.disconnect(hear)
    (page,) = rings
    assert (page.recipient_id, page.rows) == (user.pk, None)
    assert told == []


def test_a_locked_mailbox_is_left_to_the_next_run(remember, user, other_user, monkeypatch):
    remember("one")
    remember("two", recipient=other_user)
    store = foreign.store
    failing = [OperationalError(1205, "Lock wait timeout exceeded")]

    def sometimes(*arguments: Any) -> Any:
        if failing:
            raise failing.pop()
        return store(*arguments)

    monkeypatch.setattr(foreign, "store", sometimes)
    done = Copying().run()
    assert (done.copied, done.users, done.failed) == (1, 1, 1)


def test_other_errors_of_the_database_are_raised(remember, monkeypatch):
    remember("one")
    monkeypatch.setattr(
        foreign, "store", lambda *arguments: (_ for _ in ()).throw(OperationalError())
    )
    with pytest.raises(OperationalError):
        Copying().run()


def test_a_user_without_a_mailbox_gets_nothing(user):
    """The user was deleted after the notifications were read."""
    assert foreign.store(user.pk, [Notification(recipient=user, message="x")]) == 0
