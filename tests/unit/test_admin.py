from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import notify
from notify.models import Mailbox, Notification
from notify.testing import act
from tests.kit.deeds import handled, offer

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.users,
    pytest.mark.only_if(settings.USER != "char"),  # users of that model cannot enter the admin
]

LIST = "admin:notify_notification_changelist"
DETAIL = "admin:notify_notification_change"


@pytest.fixture
def staff(user, client) -> Client:
    """A browser in which a superuser is signed in."""
    model: Any = get_user_model()
    client.force_login(model.objects.create_superuser("root", "root@example.com", "demo"))
    return client


@pytest.fixture
def waiting(user, monkeypatch) -> Notification:
    """A row in the outbox whose sender died before publishing it."""
    row = Notification(recipient=user, message="waiting")
    row.save()
    return row


def shown(staff: Client, **query: Any) -> set[str]:
    """The messages that the list shows."""
    answer = staff.get(reverse(LIST), query)
    assert answer.status_code == 200
    return {row.message for row in answer.context["cl"].result_list}


def test_the_list_shows_recipients_and_states(staff, user, waiting):
    notify.send(user, "new")
    notify.inbox.mark_seen(user, [notify.send(user, "looked at")])
    notify.inbox.mark_read(user, [notify.send(user, "opened")])
    notify.inbox.mark_archived(user, [notify.send(user, "done")])
    answer = staff.get(reverse(LIST))
    page = answer.content.decode()
    assert [row.message for row in answer.context["cl"].result_list] == [
        "done",
        "opened",
        "looked at",
        "new",
        "waiting",
    ]
    states = page.split('class="field-state')[1:]
    found = [part.split(">")[1].split("<")[0] for part in states]
    assert found == ["archived", "read", "seen", "unseen", "waiting"]
    assert str(user) in page


def test_the_list_costs_no_query_a_row(staff, user, other_user, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    notify.send(user, "one")
    with CaptureQueriesContext(connection) as few:
        shown(staff)
    notify.send_many([user, other_user], "two")
    with django_assert_num_queries(len(few)):
        shown(staff)


@pytest.mark.parametrize(
    ("state", "messages"),
    [
        ("waiting", {"waiting"}),
        ("unseen", {"new"}),
        ("unread", {"new", "looked at"}),
        ("archived", {"done"}),
        ("nonsense", {"waiting", "new", "looked at", "opened", "done"}),
    ],
)
def test_the_list_is_filtered_by_state(state, messages, staff, user, waiting):
    notify.send(user, "new")
    notify.inbox.mark_seen(user, [notify.send(user, "looked at")])
    notify.inbox.mark_read(user, [notify.send(user, "opened")])
    notify.inbox.mark_archived(user, [notify.send(user, "done")])
    assert shown(staff, state=state) == messages


def test_the_list_is_filtered_by_level_and_category(staff, user):
    notify.error(user, "failed", "imports")
    notify.info(user, "came in", "imports")
    assert shown(staff, level__exact="error") == {"failed"}
    assert shown(staff, category="imports") == {"failed", "came in"}


def test_the_list_is_searched(staff, user, other_user):
    """Texts match by a part, the key and the recipient's name as a whole."""
    notify.send(user, "Your export is ready", title="Monthly")
    notify.send(other_user, "Deploy finished", key="deploy:7")
    assert shown(staff, q="export") == {"Your export is ready"}
    assert shown(staff, q="month") == {"Your export is ready"}
    assert shown(staff, q="deploy:7") == {"Deploy finished"}
    assert shown(staff, q=other_user.get_username()) == {"Deploy finished"}
    assert shown(staff, q="nothing like it") == set()


@pytest.mark.parametrize("published", [True, False])
def test_a_notification_is_read_only(published, staff, user, waiting):
    """Notifications are not edited, added or deleted by hand."""
    row = notify.send(user, "Hello", data={"rows": 1}) if published else waiting
    address = reverse(DETAIL, args=[row.pk])
    answer = staff.get(address)
    assert answer.status_code == 200
    assert row.message in answer.content.decode()
    assert 'name="_save"' not in answer.content.decode()
    assert staff.post(address, {"message": "changed"}).status_code == 403
    assert staff.get(reverse("admin:notify_notification_add")).status_code == 403
    assert staff.post(reverse("admin:notify_notification_delete", args=[row.pk])).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    staff.post(reverse(LIST), chosen)
    row.refresh_from_db()
    assert row.message != "changed"


def test_a_mailbox_is_read_only(staff, user):
    notify.send(user, "Hello")
    answer = staff.get(reverse("admin:notify_mailbox_changelist"), {"q": user.get_username()})
    assert [box.pk for box in answer.context["cl"].result_list] == [user.pk]
    address = reverse("admin:notify_mailbox_change", args=[user.pk])
    assert staff.get(address).status_code == 200
    assert staff.post(address, {"head": 0}).status_code == 403
    assert staff.get(reverse("admin:notify_mailbox_add")).status_code == 403
    assert staff.post(reverse("admin:notify_mailbox_delete", args=[user.pk])).status_code == 403
    assert Mailbox.objects.get().head == 1


@pytest.mark.only_if(settings.USER == "default")  # the other user models have no admin page
def test_a_user_with_notifications_can_be_deleted(staff, user, other_user):
    """The user's rows are deleted too. Their being read-only must not prevent it."""
    notify.send_many([user, other_user], "Hello")
    answer = staff.get(reverse("admin:auth_user_delete", args=[user.pk]))
    assert not answer.context["perms_lacking"]
    staff.post(reverse("admin:auth_user_delete", args=[user.pk]), {"post": "yes"})
    assert not get_user_model()._default_manager.filter(pk=user.pk).exists()
    assert Notification.objects.get().recipient_id == other_user.pk
    assert Mailbox.objects.get().pk == other_user.pk
    chosen = {"action": "delete_selected", "_selected_action": [other_user.pk], "post": "yes"}
    staff.post(reverse("admin:auth_user_changelist"), chosen)
    assert not Notification.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_waits_can_be_published(staff, user, other_user, waiting):
    """All waiting rows of the recipients of the selected rows are published."""
    also = Notification(recipient=user, message="also waiting")
    also.save()
    chosen = {"action": "publish", "_selected_action": [waiting.pk]}
    answer = staff.post(reverse(LIST), chosen, follow=True)
    assert "Published waiting notifications for 1 recipient." in answer.content.decode()
    assert not Notification.objects.waiting().exists()
    assert notify.inbox.counts(user) == (2, 2)
    answer = staff.post(reverse(LIST), chosen, follow=True)
    assert "Published waiting notifications for 0 recipients." in answer.content.decode()


def test_publishing_needs_leave_to_view(client, user, waiting):
    user.is_staff = True
    user.save()
    client.force_login(user)
    assert client.get(reverse(LIST)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_notification"))
    with transaction.atomic():
        answer = client.get(reverse(LIST))
    assert "Publish all waiting notifications of these recipients" in answer.content.decode()
    assert "delete_selected" not in answer.content.decode()


def test_a_row_is_named_by_its_title_or_its_message(user):
    assert str(notify.send(user, "m" * 200)) == "m" * 80
    assert str(notify.send(user, "message", title="Title")) == "Title"
    assert timezone.now() >= Notification.objects.latest("pk").created_at


def test_the_staff_reads_what_went_wrong_with_a_task(staff, user, settings):
    settings.NOTIFY_THREADS = 0
    with pytest.raises(ZeroDivisionError), notify.progress(user, "Importing customers"):
        1 / 0  # noqa: B018
    row = Notification.objects.get()
    answer = staff.get(reverse(DETAIL, args=[row.pk]))
    assert "ZeroDivisionError" in answer.content.decode()


def test_staff_find_the_traceback_of_an_action_that_failed(staff, user):
    def fail(user: Any, notification: Notification, order: int) -> None:
        raise RuntimeError("the reason")

    with handled(fail):
        row = offer(user)
        with pytest.raises(RuntimeError):
            act(user, row, "Undo")
    page = staff.get(reverse(DETAIL, args=[row.pk])).content.decode()
    assert "RuntimeError: the reason" in page
