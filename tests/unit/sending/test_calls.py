from __future__ import annotations

import asyncio
import inspect
import io
import threading
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages import constants
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient
from django.urls import path
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy

import notify
from notify.exceptions import AsyncContext, InvalidNotification, InvalidRecipient
from notify.models import Mailbox, Notification
from notify.sending import calls, content

pytestmark = [pytest.mark.django_db, pytest.mark.users]

SYNC = ("send", "send_many", "debug", "info", "success", "warning", "error")
VERBS = SYNC[2:]
EVERYTHING: dict[str, Any] = {
    "level": "success",
    "title": "Export",
    "category": "exports",
    "url": "/exports/7/",
    "actions": [notify.Action("Download", "/exports/7/file/")],
    "data": {"rows": 1200},
    "key": "export:7",
    "expires": timedelta(days=1),
}
WRONG: list[dict[str, Any]] = [
    {"message": ""},
    {"message": "x" * 2001},
    {"title": "x" * 201},
    {"url": "/" + "x" * 2000},
    {"url": "javascript:alert(1)//a.b"},
    {"key": "x" * 101},
    {"category": "x" * 51},
    {"actions": [notify.Action("Open", "/x/")] * 6},
    {"data": "x" * 16_384},
    {"data": object()},
    {"level": "danger"},
    {"expires": timedelta(0)},
]


def stored() -> list[tuple[Any, str]]:
    return list(Notification.objects.order_by("pk").values_list("recipient", "message"))


# -- Stored rows ---------------------------------------------------------------------------------


@pytest.mark.database
def test_everything_given_is_stored(user):
    """The returned row, the stored row and the document on the wire agree."""
    row = notify.send(user, "Your export is ready", **EVERYTHING)
    found = Notification.objects.get()
    for one in (row, found):
        assert one.recipient_id == user.pk
        assert (one.message, one.level) == ("Your export is ready", "success")
        assert (one.title, one.category, one.url) == ("Export", "exports", "/exports/7/")
        assert one.actions == [{"label": "Download", "url": "/exports/7/file/"}]
        assert (one.data, one.collapse_key) == ({"rows": 1200}, "export:7")
        assert one.expires_at is not None
        assert one.expires_at > timezone.now()
    assert row == found
    assert row.position == found.position == row.arrived == 1


def test_only_a_message_is_needed(user):
    row = notify.send(user, "Hello")
    assert (row.level, row.title, row.category, row.url) == ("info", "", "", "")
    assert (row.actions, row.data, row.collapse_key, row.expires_at) == ([], None, "", None)


@pytest.mark.parametrize("make", [lambda u: u, lambda u: u.pk, lambda u: str(u.pk)])
def test_a_user_or_his_key_is_told(make, user, other_user):
    notify.send(make(user), "Hello")
    assert stored() == [(user.pk, "Hello")]


def test_the_user_of_a_request_is_told(user, rf):
    request = rf.get("/")
    request.user = user
    notify.send(request, "Hello")
    assert stored() == [(user.pk, "Hello")]


@pytest.mark.database
def test_each_of_several_is_told_once(make_user):
    """Rows are in the order of the recipients, and duplicates count once."""
    alice, bob, carol = map(make_user, ["alice", "bob", "carol"])
    rows = notify.send_many([carol, alice.pk, bob, str(alice.pk), carol], "Hello")
    assert [row.recipient_id for row in rows] == [carol.pk, alice.pk, bob.pk]
    assert sorted(stored()) == sorted((one.pk, "Hello") for one in (alice, bob, carol))
    assert {row.pk for row in rows} == set(Notification.objects.values_list("pk", flat=True))
    assert [row.position for row in rows] == [1, 1, 1]


@pytest.mark.parametrize("to", [[], (), iter(()), {}])
def test_nobody_may_be_told_nothing(to, django_assert_num_queries):
    """An empty team is no error, and costs no query."""
    with django_assert_num_queries(0):
        assert notify.send_many(to, "Hello") == []


def test_a_queryset_may_be_told(user, other_user):
    users = get_user_model()._default_manager.order_by("-email")
    rows = notify.send_many(users, "Hello")
    assert [row.recipient_id for row in rows] == [other_user.pk, user.pk]
    assert notify.send_many(users.none(), "Hello") == []


def test_verbs_are_levels(user):
    """They are named after django.contrib.messages, whose extra_tags become the category."""
    for verb in VERBS:
        row = getattr(notify, verb)(user, "Saved", "exports", title="Export")
        assert (row.level, row.category, row.title) == (verb, "exports", "Export")
    assert notify.info(user, "Saved").category == ""
    assert notify.info(user, "Saved", extra_tags="a").category == "a"
    assert notify.info(user, "Saved", category="b").category == "b"


def test_the_constants_of_messages_are_levels(user):
    assert notify.send(user, "Saved", level=constants.SUCCESS).level == "success"


def test_a_verb_has_its_level():
    with pytest.raises(TypeError, match="level"):
        notify.info(1, "Saved", level="error")  # type: ignore[call-arg]


# -- Invalid calls -------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: next(iter(wrong)))
def test_nothing_is_stored_when_something_is_wrong(wrong, user, other_user):
    """Neither a row nor a mailbox is stored, for one recipient or for many."""
    for call, to in ((notify.send, user), (notify.send_many, [user, other_user])):
        with pytest.raises(InvalidNotification):
            call(to, **{"message": "Hello", **wrong})
    assert not Notification.objects.exists()
    assert not Mailbox.objects.exists()


def test_one_wrong_recipient_spares_the_others(user):
    for wrong in (AnonymousUser(), get_user_model()(), "nobody", -1):
        with pytest.raises(InvalidRecipient):
            notify.send_many([user, wrong], "Hello")
    with pytest.raises(TypeError):
        notify.send_many([user, None], "Hello")
    assert not Notification.objects.exists()


def test_one_wrong_translation_spares_the_others(user, other_user, settings):
    """All languages are rendered before the first row is stored."""
    settings.NOTIFY_LANGUAGE = f"{__name__}.de_or_en"
    lazy = gettext_lazy("Monday")  # the German text is as long as the English one
    with pytest.raises(InvalidNotification):
        notify.send_many([user, other_user], lazy, title="x" * 201)
    assert not Notification.objects.exists()


@pytest.mark.parametrize("name", [*SYNC, *(f"a{name}" for name in SYNC)])
@pytest.mark.parametrize("keyword", ["recipient", "verb"])
def test_the_signature_of_django_notifications_is_explained(name, keyword, user):
    """notify.send(actor, recipient=…, verb=…) would notify the actor."""
    call = getattr(notify, name)
    call = async_to_sync(call) if name.startswith("a") else call
    with pytest.raises(TypeError, match=r"takes the recipient first.*django-notifications-hq"):
        call(user, **{keyword: "commented"})
    assert not Notification.objects.exists()


def test_an_unknown_argument_is_a_type_error(user):
    with pytest.raises(TypeError, match="link"):
        notify.send(user, "Hello", link="/x/")  # type: ignore[call-arg]


def test_the_options_go_by_name(user):
    with pytest.raises(TypeError):
        notify.send(user, "Hello", "success")  # type: ignore[misc]


# -- Event loops and requests --------------------------------------------------------------------


@pytest.mark.parametrize("name", SYNC)
async def test_a_sync_call_in_an_event_loop_names_its_twin(name):
    """This comes before all other checks, so even a wrong call reports it first."""
    with pytest.raises(AsyncContext, match=rf"await notify\.a{name}\("):
        getattr(notify, name)(None, "Hello")


@pytest.mark.django_db(transaction=True)
def test_where_django_allows_it_a_sync_call_in_a_loop_is_allowed(user, monkeypatch):
    """In notebooks, DJANGO_ALLOW_ASYNC_UNSAFE is set."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

    async def cell() -> None:
        notify.send(user, "Hello")
        connections.close_all()

    asyncio.run(cell())
    assert stored() == [(user.pk, "Hello")]


@pytest.mark.parametrize("name", SYNC)
def test_each_call_has_a_twin(name, user):
    """It is awaited with the same arguments."""
    call, twin = getattr(notify, name), getattr(notify, f"a{name}")
    assert inspect.iscoroutinefunction(twin)
    assert twin.__name__ == f"a{name}"
    assert inspect.signature(twin) == inspect.signature(call)
    row = async_to_sync(twin)([user] if name == "send_many" else user, "Hello", title="Twin")
    row = row[0] if name == "send_many" else row
    assert (row.message, row.title) == ("Hello", "Twin")
    assert stored() == [(user.pk, "Hello")]


def test_a_twin_raises_what_the_call_raises(user):
    with pytest.raises(InvalidNotification, match="is not a valid level"):
        async_to_sync(notify.asend)(user, "Hello", level="danger")
    with pytest.raises(TypeError, match=r"Use notify\.send_many\(\)"):
        async_to_sync(notify.asend)([user], "Hello")


def test_a_twin_keeps_the_active_language(user):
    with translation.override("de"):
        assert async_to_sync(notify.asend)(user, gettext_lazy("Monday")).message == "Montag"


@pytest.mark.django_db(transaction=True)
def test_plain_asyncio_may_send(user):
    async def main() -> None:
        await notify.asend(user, "one")
        await notify.asend_many([user.pk], "two")
        await notify.asuccess(user, "three")
        await sync_to_async(connections.close_all)()

    asyncio.run(main())
    assert [message for _, message in stored()] == ["one", "two", "three"]


@pytest.mark.django_db(transaction=True)
def test_many_tasks_may_send_at_once(user):
    async def main() -> None:
        await asyncio.gather(*(notify.asend(user, str(number)) for number in range(10)))
        await sync_to_async(connections.close_all)()

    asyncio.run(main())
    assert sorted(message for _, message in stored()) == sorted(map(str, range(10)))
    assert sorted(Notification.objects.values_list("position", flat=True)) == list(range(1, 11))


@pytest.mark.django_db(transaction=True)
@pytest.mark.database
def test_a_thread_may_send(user):
    def work() -> None:
        try:
            notify.send(user, "from a thread")
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert stored() == [(user.pk, "from a thread")]


def test_a_command_may_send(user):
    call_command("notify_send", str(user.pk), "from a command", stdout=io.StringIO())
    assert stored() == [(user.pk, "from a command")]


def sync_view(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"id": notify.success(request, "from a view").pk})


async def async_view(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"id": (await notify.asuccess(request, "from a view")).pk})


async def wrong_view(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"id": notify.success(request, "from a view").pk})


urlpatterns = [
    path("sync/", sync_view),
    path("async/", async_view),
    path("wrong/", wrong_view),
]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("where", ["/sync/", "/async/"])
def test_a_view_may_send(where, user, client):
    """The view is sync or async, under WSGI. The lazy user of the request is resolved."""
    client.force_login(user)
    answer = client.get(where).json()
    assert stored() == [(user.pk, "from a view")]
    assert answer == {"id": Notification.objects.get().pk}


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("where", ["/sync/", "/async/"])
def test_a_view_may_send_under_asgi(where, user):
    client = AsyncClient()
    client.force_login(user)
    answer = async_to_sync(client.get)(where)
    assert answer.json() == {"id": Notification.objects.get().pk}
    assert stored() == [(user.pk, "from a view")]


@pytest.mark.urls(__name__)
def test_an_async_view_must_await(user, client):
    client.force_login(user)
    with pytest.raises(AsyncContext, match=r"await notify\.asuccess\("):
        client.get("/wrong/")
    assert not Notification.objects.exists()


@pytest.mark.urls(__name__)
def test_a_view_must_know_its_user(client):
    with pytest.raises(InvalidRecipient, match="is_authenticated"):
        client.get("/sync/")


# -- With the transaction ------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.database
def test_what_is_sent_belongs_to_the_transaction(user):
    """After a rollback it never existed. After the commit it has a position."""
    with transaction.atomic():
        assert notify.send(user, "never").position is None
        transaction.set_rollback(True)
    assert not Notification.objects.exists()
    with transaction.atomic():
        row = notify.send(user, "Hello")
        assert row.position is None
    row.refresh_from_db()
    assert row.position is not None


def test_an_error_of_the_database_is_the_callers(user, monkeypatch):
    """Only the INSERT itself can fail the caller."""

    def refuse(letters: Any) -> Any:
        raise connection.Database.OperationalError("disk full")

    monkeypatch.setattr("notify.mailbox.outbox.send", refuse)
    with pytest.raises(connection.Database.OperationalError, match="disk full"):
        notify.send(user, "Hello")


def test_a_channel_layer_that_fails_is_no_error(user, settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "nowhere.Layer"}}
    assert notify.send(user, "Hello").position == 1
    settings.CHANNEL_LAYERS = {}
    assert notify.send(user, "Hello").position == 2


# -- Disconnecting -------------------------------------------------------------------------------


@pytest.fixture
def kicked(monkeypatch) -> list[Any]:
    """The users and sessions that the doorbell was asked to disconnect."""
    users: list[Any] = []
    monkeypatch.setattr("notify.doorbell.kick", users.append)
    return users


def test_a_user_is_disconnected_whoever_he_is_given_as(user, rf, kicked):
    request = rf.get("/")
    request.user = user
    for to in (user, user.pk, str(user.pk), request):
        notify.disconnect(to)
    assert kicked == [user.pk] * 4


def test_a_user_who_was_deleted_is_disconnected_by_his_key(user, kicked):
    key = user.pk
    user.delete()
    notify.disconnect(key)
    assert kicked == [key]
    with pytest.raises(InvalidRecipient):
        notify.disconnect(user)


@pytest.mark.django_db(transaction=True)
def test_a_ban_that_is_rolled_back_disconnects_nobody(user, other_user, kicked):
    """A committed ban disconnects after the commit. Before it, the user would be admitted again."""
    with transaction.atomic():
        notify.disconnect(user)
        transaction.set_rollback(True)
    assert kicked == []
    with transaction.atomic():
        notify.disconnect(other_user)
        assert kicked == []
    assert kicked == [other_user.pk]


def test_one_user_is_disconnected_at_a_time(user, kicked):
    for several in ([user], get_user_model().objects.all(), None):
        with pytest.raises(TypeError):
            notify.disconnect(several)
    with pytest.raises(TypeError, match=r"notify\.disconnect\(\) takes one recipient"):
        notify.disconnect([user])
    with pytest.raises(InvalidRecipient):
        notify.disconnect(AnonymousUser())
    assert kicked == []


async def test_disconnecting_in_an_event_loop_names_its_twin():
    with pytest.raises(AsyncContext, match=r"await notify\.adisconnect\("):
        notify.disconnect(None)


def test_disconnecting_has_a_twin(user, kicked):
    assert inspect.signature(notify.adisconnect) == inspect.signature(notify.disconnect)
    async_to_sync(notify.adisconnect)(user)
    assert kicked == [user.pk]


def test_disconnecting_raises_nothing_for_the_layers_sake(user, settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "nowhere.Layer"}}
    notify.disconnect(user)
    settings.CHANNEL_LAYERS = {}
    notify.disconnect(user)


def test_disconnecting_asks_nothing_of_the_database(user, kicked, django_assert_num_queries):
    with django_assert_num_queries(0):
        notify.disconnect(user)
        notify.disconnect(user.pk)
    assert kicked == [user.pk] * 2


# -- Languages -----------------------------------------------------------------------------------


def de_or_en(user: Any) -> str:
    return "de" if user.email.startswith("alice") else "en"


def test_everybody_reads_his_language(user, other_user, settings):
    settings.NOTIFY_LANGUAGE = f"{__name__}.de_or_en"
    lazy = gettext_lazy("Monday")
    with translation.override("fr"):
        rows = notify.send_many([other_user, user], lazy)
        assert [row.message for row in rows] == ["Monday", "Montag"]
        assert notify.send(user, lazy).message == "Montag"
        assert async_to_sync(notify.asend)(user, lazy).message == "Montag"
        assert translation.get_language() == "fr"
    assert sorted(stored(), key=str) == sorted(
        [(other_user.pk, "Monday")] + [(user.pk, "Montag")] * 3, key=str
    )


# -- The inbox -----------------------------------------------------------------------------------


def test_the_inbox_is_read_and_marked(user):
    one, two, three = (notify.send(user, text) for text in ("one", "two", "three"))
    page = notify.inbox.snapshot(user)
    assert [row.message for row in page.notifications] == ["one", "two", "three"]
    assert notify.inbox.counts(user) == (3, 3)
    notify.inbox.mark_seen(user, [one])
    assert notify.inbox.counts(user) == (2, 3)
    notify.inbox.mark_read(user, [one, two])
    assert notify.inbox.counts(user) == (1, 1)
    notify.inbox.mark_dismissed(user, [three])
    notify.inbox.mark_archived(user)
    assert notify.inbox.counts(user.pk) == (0, 0)
    later = notify.inbox.changes(user, page.cursor)
    assert {row.pk for row in later.notifications} == {one.pk, two.pk, three.pk}
    assert Notification.objects.exclude(archived_at=None).count() == 3
    assert Notification.objects.exclude(dismissed_at=None).get() == three


def test_the_inbox_has_twins(user):
    async def read_and_mark() -> None:
        inbox = notify.inbox
        row = await notify.asend(user, "Hello")
        page = await inbox.asnapshot(user)
        assert [one.pk for one in page.notifications] == [row.pk]
        assert await inbox.acounts(user) == (1, 1)
        await inbox.amark_seen(user, [row])
        assert await inbox.acounts(user) == (0, 1)
        await inbox.amark_read(user, [row])
        assert await inbox.acounts(user) == (0, 0)
        await inbox.amark_dismissed(user, [row])
        await inbox.amark_archived(user, [row])
        assert [one.pk for one in (await inbox.achanges(user, page.cursor)).notifications] == [
            row.pk
        ]

    async_to_sync(read_and_mark)()
    row = Notification.objects.get()
    assert None not in (row.seen_at, row.read_at, row.dismissed_at, row.archived_at)


# -- The shape -----------------------------------------------------------------------------------


def test_every_call_takes_the_same_options():
    """A new option of the content must be accepted by every call, and documented in send()."""
    options = {*content.Content.__slots__} - {"message", "origin"}  # the origin is that of ``to``
    assert options == {*calls.Options.__annotations__}
    described = inspect.getdoc(notify.send) or ""
    for name in options:
        assert f"\n    {name}: " in described


@pytest.mark.parametrize("name", SYNC)
def test_an_unknown_argument_is_named(user, name):
    to = [user] if name == "send_many" else user
    with pytest.raises(TypeError, match=rf"notify\.{name}\(\) has no argument 'titles'.*'title'"):
        getattr(notify, name)(to, "Hello", titles="Export")


def test_a_verb_has_its_level_in_its_name(user):
    with pytest.raises(TypeError, match="level"):
        notify.success(user, "Saved", level="error")


# -- Retracting ----------------------------------------------------------------------------------


def test_a_notification_is_retracted_by_its_key(user):
    notify.send(user, "one", key="k")
    notify.retract(user, "k")
    assert notify.inbox.counts(user) == (0, 0)
    with pytest.raises(ValueError, match="needs the key"):
        notify.retract(user, "")
