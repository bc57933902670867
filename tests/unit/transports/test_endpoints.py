from __future__ import annotations

import json
import time
from datetime import timedelta
from io import BytesIO, StringIO
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import setup_testing_defaults

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as project
from django.contrib.auth import get_user_model, login
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.handlers.wsgi import WSGIHandler
from django.db import OperationalError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import include, path, resolve
from django.utils import timezone

import notify
from notify.auth import session as auth
from notify.auth.identity import identity
from notify.live import limits
from notify.models import Mailbox, Notification
from notify.transports import endpoints
from notify.transports.endpoints import QuietSession
from tests.kit.fakes import close_connections
from tests.kit.mailboxes import age, mailbox_of

pytestmark = [pytest.mark.django_db, pytest.mark.users]

CHANGES, COMMANDS, WS = "/notify/changes/", "/notify/commands/", "/notify/ws/"
STREAM, TOKEN = "/notify/stream/", "/notify/token/"
MIDDLEWARE = list(project.MIDDLEWARE)
BACKEND = "django.contrib.auth.backends.ModelBackend"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


def sign_in_anew(request: HttpRequest) -> HttpResponse:
    login(request, get_user_model().objects.get(), BACKEND)
    return HttpResponse()


urlpatterns = [
    path("notify/", include("notify.urls")),
    path("page/", page),
    path("sign-in/", sign_in_anew),
]


@pytest.fixture
def tab(client, user):
    """A browser in which the user is signed in."""
    client.force_login(user)
    return client


def command(tab: Client, document: Any, **options: Any) -> Any:
    text = document if isinstance(document, (str, bytes)) else json.dumps(document)
    return tab.post(COMMANDS, text, **{"content_type": "application/json", **options})


# -- Poll ----------------------------------------------------------------------------------------


@pytest.mark.database
def test_a_first_poll_is_a_reset(tab, user):
    """It contains the current rows, the counts, and the cursor for the next poll."""
    row = notify.send(user, "Grüße 🎉")
    answer = tab.get(CHANGES)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    document = answer.json()
    assert (document["type"], document["reset"], document["since"]) == ("changes", True, None)
    assert document["counts"] == {"unseen": 1, "unread": 1}
    assert document["cursor"] == str(Mailbox.objects.get().cursor)
    (shown,) = document["notifications"]
    assert (shown["id"], shown["message"]) == (row.pk, "Grüße 🎉")


def test_a_user_without_a_mailbox_gets_an_empty_reset(tab):
    """A poll without a cursor creates no mailbox."""
    document = tab.get(CHANGES).json()
    assert (document["reset"], document["cursor"], document["notifications"]) == (True, None, [])
    assert not Mailbox.objects.exists()
    assert tab.get(CHANGES, {"since": ""}).json() == document


@pytest.mark.database
def test_a_poll_since_a_cursor_gets_what_is_new(tab, user):
    notify.send(user, "one")
    cursor = tab.get(CHANGES).json()["cursor"]
    two = notify.send(user, "two")
    document = tab.get(CHANGES, {"since": cursor}).json()
    assert (document["since"], "reset" in document) == (cursor, False)
    assert [row["id"] for row in document["notifications"]] == [two.pk]


def test_nothing_new_is_204_without_a_body(tab, user):
    notify.send(user, "one")
    cursor = tab.get(CHANGES).json()["cursor"]
    answer = tab.get(CHANGES, {"since": cursor})
    assert (answer.status_code, answer.content) == (204, b"")


def test_another_epoch_is_a_reset(tab, user):
    notify.send(user, "one")
    document = tab.get(CHANGES, {"since": "00000000000000000:7"}).json()
    assert (document["reset"], len(document["notifications"])) == (True, 1)


@pytest.mark.parametrize(
    ("site", "may"),
    [("cross-site", False), ("same-site", False), ("same-origin", True), ("", True)],
)
def test_a_link_on_another_site_starts_no_epoch(tab, user, site, may):
    """Its answer is a snapshot, which that site cannot read."""
    notify.send(user, "one")
    before = age(user)
    headers = {"sec-fetch-site": site} if site else {}
    document = tab.get(CHANGES, {"since": f"{before.epoch}:99"}, headers=headers).json()
    assert (document["reset"], len(document["notifications"])) == (True, 1)
    assert (mailbox_of(user).epoch != before.epoch) is may


def test_nobody_sees_what_is_not_his(tab, other_user):
    notify.send(other_user, "private")
    assert tab.get(CHANGES).json()["notifications"] == []


@pytest.mark.parametrize("since", ["44", "x:y", "null", "0hqk3m2v00a1b2c3d:-1", "\x00", "🎉" * 500])
def test_a_bad_cursor_is_400(since, tab):
    answer = tab.get(CHANGES, {"since": since})
    assert answer.status_code == 400
    document = answer.json()
    assert (document["type"], document["ref"], document["code"]) == ("error", None, "bad_cursor")


@pytest.mark.database
def test_a_poll_that_finds_nothing_costs_one_query(tab, user):
    """This does not count the queries for the user of the request."""
    notify.send(user, "one")
    cursor = tab.get(CHANGES).json()["cursor"]
    with CaptureQueriesContext(
        connection,
    ) as found:
        assert tab.get(CHANGES, {"since": cursor}).status_code == 204
    about_us = [one["sql"] for one in found.captured_queries if "notify_" in one["sql"]]
    others = [one["sql"] for one in found.captured_queries if "notify_" not in one["sql"]]
    assert len(about_us) == 1
    assert len(others) == 2  # the session, the user
    assert not any(sql.startswith(("BEGIN", "SAVEPOINT", "UPDATE", "INSERT")) for sql in others)


@pytest.mark.django_db(transaction=True)
@pytest.mark.database
def test_a_poll_publishes_what_was_forgotten(tab, user, monkeypatch):
    """Its sender died between its commit and the publish."""
    monkeypatch.setattr("notify.mailbox.outbox.publish", lambda *args, **kwargs: 0)
    with transaction.atomic():
        row = notify.send(user, "forgotten")
    monkeypatch.undo()
    row.refresh_from_db()
    assert row.position is None
    assert [one["id"] for one in tab.get(CHANGES).json()["notifications"]] == [row.pk]


def test_a_poll_archives_what_has_expired(tab, user):
    row = notify.send(user, "soon over", expires=timedelta(days=1))
    cursor = tab.get(CHANGES).json()["cursor"]
    past = timezone.now() - timedelta(seconds=1)
    Notification.objects.update(expires_at=past)
    Mailbox.objects.update(due=past)
    (shown,) = tab.get(CHANGES, {"since": cursor}).json()["notifications"]
    assert shown["id"] == row.pk
    assert shown["archived_at"] is not None
    assert tab.get(CHANGES, {"since": cursor}).json()["counts"] == {"unseen": 0, "unread": 0}


# -- Commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "counts"),
    [
        ("seen", {"seen_at"}, (0, 1)),
        ("read", {"seen_at", "read_at"}, (0, 0)),
        ("archived", {"seen_at", "read_at", "archived_at"}, (0, 0)),
        ("dismissed", {"dismissed_at"}, (1, 1)),
    ],
)
@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.database
def test_a_command_marks_and_is_acknowledged(kind, fields, counts, everything, tab, user):
    """The ack contains the cursor at which the mark is visible."""
    row = notify.send(user, "one")
    cursor = tab.get(CHANGES).json()["cursor"]
    document: dict[str, Any] = {"type": kind, "ids": [[row.pk, row.arrived]], "ref": 7}
    if everything:
        document = {"type": f"{kind}_all", "cursor": cursor, "ids": [], "ref": 7}
    answer = command(tab, document)
    assert answer.status_code == 200
    assert answer.json() == {"type": "ack", "ref": 7, "cursor": str(Mailbox.objects.get().cursor)}
    assert answer.json()["cursor"] != cursor
    row.refresh_from_db()
    moments = ("seen_at", "read_at", "archived_at", "dismissed_at")
    assert {name for name in moments if getattr(row, name)} == fields
    assert notify.inbox.counts(user) == counts


def test_all_and_some_above_it_go_together(tab, user):
    """The client names the rows that it shows above the cursor up to which it is complete."""
    notify.send(user, "one")
    cursor = tab.get(CHANGES).json()["cursor"]
    two, _three = notify.send(user, "two"), notify.send(user, "three")
    ids = [[two.pk, two.arrived]]
    answer = command(tab, {"type": "read_all", "cursor": cursor, "ids": ids, "ref": 8})
    assert answer.status_code == 200
    unread = Notification.objects.filter(read_at=None)
    assert [row.message for row in unread] == ["three"]


def test_what_came_after_it_was_shown_stays_new(tab, user):
    """The user has not seen the new content of the row."""
    row = notify.send(user, "one", key="k")
    shown = [[row.pk, row.arrived]]
    notify.send(user, "two", key="k")
    assert command(tab, {"type": "read", "ids": shown, "ref": 1}).status_code == 200
    assert notify.inbox.counts(user) == (1, 1)


def test_the_rows_of_others_are_left_alone(tab, user, other_user):
    """A foreign id is no error, because an error would reveal whether the row exists."""
    notify.send(user, "mine")
    row = notify.send(other_user, "private")
    answer = command(
        tab, {"type": "archived", "ids": [[row.pk, row.arrived], [10**12, 1]], "ref": 1}
    )
    assert answer.status_code == 200
    assert answer.json()["type"] == "ack"
    row.refresh_from_db()
    assert row.archived_at is None
    assert notify.inbox.counts(user) == notify.inbox.counts(other_user) == (1, 1)


def test_a_user_without_a_mailbox_may_mark_nothing(tab):
    answer = command(tab, {"type": "read", "ids": [[1, 1]], "ref": 1})
    assert answer.json() == {"type": "ack", "ref": 1, "cursor": None}


@pytest.mark.parametrize(
    ("body", "ref", "code"),
    [
        ({"type": "unseen", "ids": [], "ref": 7}, 7, "bad_command"),
        ({"type": "read", "ids": "all", "ref": 7}, 7, "bad_command"),
        ({"type": "read_all", "ids": [], "ref": 7}, 7, "bad_cursor"),
        ({"type": "changes", "since": None, "ref": 7}, 7, "bad_command"),
        ({"type": "ping", "cursor": None}, None, "bad_command"),
        ({"type": "read", "ids": [[1, 1]] * 501, "ref": 7}, 7, "too_large"),
        ("", None, "bad_command"),
        ("{", None, "bad_command"),
        ("null", None, "bad_command"),
        (b"\xff\xfe\x00garbage", None, "bad_command"),
        (b'{"type":"read\xff"}', None, "bad_command"),
        ("[" * 10_000, None, "bad_command"),
        ('{"type":"read"}'.ljust(64 * 1024 + 1), None, "too_large"),
    ],
)
def test_what_is_no_command_is_400(body, ref, code, tab, user):
    notify.send(user, "one")
    answer = command(tab, body)
    assert answer.status_code == 400
    document = answer.json()
    assert (document["type"], document["ref"], document["code"]) == ("error", ref, code)
    assert document["message"]
    assert notify.inbox.counts(user) == (1, 1)


def test_more_commands_than_the_rate_allows_are_429(tab, user):
    """The client waits and sends them again."""
    limits.posts._forget()
    assert limits.posts().take(user.pk, time.monotonic() + 60, 200)
    answer = command(tab, {"type": "read", "ids": [], "ref": 7})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
    assert answer["Retry-After"] == "1"
    limits.posts._forget()


def test_more_than_django_reads_is_400(tab, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = command(tab, '{"type":"read"}'.ljust(1001))
    assert (answer.status_code, answer.json()["code"]) == (400, "too_large")


@pytest.mark.parametrize("checked", [False, True])
def test_a_form_is_no_command(checked, user):
    """This also holds if CsrfViewMiddleware has consumed it in search of its token."""
    tab = Client(enforce_csrf_checks=checked)
    tab.force_login(user)
    tab.cookies["csrftoken"] = "a" * 32
    fields = {"type": "read", "csrfmiddlewaretoken": "a" * 32}
    for options in ({}, {"content_type": "application/x-www-form-urlencoded"}):
        data = "type=read&csrfmiddlewaretoken=" + "a" * 32 if options else fields
        answer = tab.post(COMMANDS, data, **options)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_command")


# -- Access --------------------------------------------------------------------------------------


@pytest.mark.parametrize("send", [lambda c: c.get(CHANGES), lambda c: command(c, {"type": "read"})])
def test_a_visitor_is_401_as_json(send, client):
    """A redirect to a login page would send HTML to a machine."""
    answer = send(client)
    assert answer.status_code == 401
    document = answer.json()
    assert (document["type"], document["ref"], document["code"]) == ("error", None, "not_signed_in")


@pytest.mark.database
def test_a_session_cookie_that_no_database_stores_is_a_visitors(client):
    """PostgreSQL refuses to look for a NUL, which a quoted cookie can contain."""
    cookie = {"cookie": r'sessionid="a\000b"'}
    assert client.get(CHANGES, headers=cookie).status_code == 401
    assert command(client, {"type": "read"}, headers=cookie).status_code == 401


@pytest.mark.parametrize("address", [CHANGES, STREAM, COMMANDS])
def test_a_page_of_another_user_is_403(address, tab, user, other_user):
    """It was rendered before the other user signed in, and so shows and marks nothing of theirs."""
    row = notify.send(user, "private")
    send = tab.post if address == COMMANDS else tab.get
    body = json.dumps({"type": "read", "ids": [[row.pk, row.arrived]]})
    options = {"data": body, "content_type": "application/json"} if address == COMMANDS else {}
    answer = send(f"{address}?user={identity(other_user.pk)}", **options)
    assert answer.status_code == 403
    document = answer.json()
    assert (document["type"], document["ref"], document["code"]) == ("error", None, "another_user")
    assert "no-store" in answer["Cache-Control"]
    assert notify.inbox.counts(user) == (1, 1)


def test_a_page_of_the_user_is_served(tab, user):
    notify.send(user, "one")
    address = f"{COMMANDS}?user={identity(user.pk)}"
    assert tab.get(CHANGES, {"user": identity(user.pk)}).json()["counts"]["unseen"] == 1
    assert tab.post(address, '{"type":"read"}', "application/json").status_code == 200


@pytest.mark.parametrize("address", [CHANGES, COMMANDS])
def test_an_impersonated_user_is_the_one_who_counts(address, user, other_user, tab, settings):
    """A middleware replaces the user of each request that passes through Django, as on the page."""
    settings.MIDDLEWARE = [*MIDDLEWARE, f"{__name__}.impersonate"]
    send = tab.post if address == COMMANDS else tab.get
    options = {"data": '{"type":"read"}', "content_type": "application/json"}
    for pk, status in ((other_user.pk, 200), (user.pk, 403)):
        more = options if address == COMMANDS else {}
        answer = send(f"{address}?user={identity(pk)}", **more, headers={"as": str(other_user.pk)})
        assert answer.status_code == status


def impersonate(get_response: Any) -> Any:
    """A middleware with which an administrator sees the site as another user."""

    def middleware(request: HttpRequest) -> Any:
        request.user = get_user_model().objects.get(pk=request.headers["as"])
        return get_response(request)

    return middleware


def test_an_inactive_user_is_a_visitor(tab, rf, user):
    user.is_active = False
    request = rf.get(CHANGES)
    request.user = user
    assert endpoints.changes(request).status_code == 401


def test_login_required_middleware_lets_all_through(client, user, settings):
    """The views check it themselves. The rest of the site is guarded."""
    settings.MIDDLEWARE = [*MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    settings.ROOT_URLCONF = __name__
    assert client.get("/page/").status_code == 302
    assert client.get(CHANGES).status_code == 401
    assert command(client, {"type": "read"}).status_code == 401
    assert client.get(WS).status_code == 426
    client.force_login(user)
    assert client.get(CHANGES).status_code == 200


@pytest.mark.parametrize("middleware", [[], [m for m in MIDDLEWARE if m != AUTHENTICATION]])
def test_a_site_without_users_answers_401(middleware, client, settings):
    """Without sessions, or without AuthenticationMiddleware, every visitor is anonymous."""
    settings.MIDDLEWARE = middleware
    assert client.get(CHANGES).status_code == 401
    assert command(client, {"type": "read"}).status_code == 401


def test_a_user_may_come_without_a_session(rf, user):
    """A middleware may read a token, or a header of the proxy."""
    request = rf.get(CHANGES)
    request.user = user
    notify.send(user, "one")
    assert len(json.loads(endpoints.changes(request).content)["notifications"]) == 1


# -- A database that fails -----------------------------------------------------------------------


def fail(*args: Any, **kwargs: Any) -> Any:
    raise OperationalError("database is locked")


UNAVAILABLE = {
    "type": "error",
    "ref": None,
    "code": "unavailable",
    "message": "Try again later.",
}


@pytest.mark.parametrize("broken", ["inbox.upkeep.look_at", "inbox.changes"])
def test_a_poll_that_cannot_be_answered_is_503(broken, tab, user, monkeypatch, caplog):
    """The answer is JSON, and the reason is in the log."""
    notify.send(user, "one")
    cursor = tab.get(CHANGES).json()["cursor"]
    notify.send(user, "two")
    monkeypatch.setattr(f"notify.{broken}", fail)
    answer = tab.get(CHANGES, {"since": cursor})
    assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
    assert "no-store" in answer["Cache-Control"]
    assert "database is locked" in caplog.text


def test_a_session_that_cannot_be_read_is_503(tab, monkeypatch):
    """The user is unknown, but a 401 would make a tab stop."""
    monkeypatch.setattr(SessionStore, "load", fail)
    assert (tab.get(CHANGES).status_code, tab.get(CHANGES).json()) == (503, UNAVAILABLE)
    assert command(tab, {"type": "read", "ref": 7}).json() == UNAVAILABLE


def test_a_session_cache_that_cannot_be_reached_is_503(client, monkeypatch, caplog):
    """Django takes such a session for an empty one, so the request seems to be nobody's."""
    monkeypatch.setattr(auth, "look_up", lambda key: 1 / 0)
    answer = client.get(CHANGES)
    assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
    assert "division by zero" in caplog.text


def test_a_command_that_cannot_be_done_is_503(tab, user, monkeypatch):
    """The answer is the same as over the socket."""
    row = notify.send(user, "one")
    monkeypatch.setattr("notify.mailbox.marks.mark", fail)
    answer = command(tab, {"type": "read", "ids": [[row.pk, row.arrived]], "ref": 7})
    assert (answer.status_code, answer.json()) == (503, {**UNAVAILABLE, "ref": 7})


# -- CSRF ----------------------------------------------------------------------------------------


def checked_tab(user: Any) -> Client:
    tab = Client(enforce_csrf_checks=True)
    tab.force_login(user)
    return tab


def test_a_command_without_a_token_is_403(user):
    row = notify.send(user, "one")
    document = {"type": "read", "ids": [[row.pk, row.arrived]], "ref": 1}
    assert command(checked_tab(user), document).status_code == 403
    assert notify.inbox.counts(user) == (1, 1)


def test_the_view_guards_itself(user, settings):
    """This also holds in projects without CsrfViewMiddleware."""
    settings.MIDDLEWARE = [name for name in MIDDLEWARE if "Csrf" not in name]
    assert command(checked_tab(user), {"type": "read"}).status_code == 403


@pytest.mark.parametrize("in_session", [False, True])
def test_a_command_with_a_token_is_done(in_session, user, settings):
    """The page's token goes into the header, wherever Django keeps the secret."""
    settings.ROOT_URLCONF = __name__
    settings.CSRF_USE_SESSIONS = in_session
    tab = checked_tab(user)
    token = tab.get("/page/").content.decode()
    assert command(tab, {"type": "read"}, headers={"x-csrftoken": token}).status_code == 200
    assert command(tab, {"type": "read"}, headers={"x-csrftoken": "x" * 64}).status_code == 403
    assert command(tab, {"type": "read"}).status_code == 403


@pytest.mark.parametrize("in_session", [False, True])
def test_a_stale_token_is_exchanged_for_one_that_works(in_session, user, settings):
    """Signing in anew changes the secret, wherever Django keeps it."""
    settings.ROOT_URLCONF = __name__
    settings.CSRF_USE_SESSIONS = in_session
    tab = checked_tab(user)
    stale = {"x-csrftoken": tab.get("/page/").content.decode()}
    assert command(tab, {"type": "read"}, headers=stale).status_code == 200
    tab.get("/sign-in/")
    assert command(tab, {"type": "read"}, headers=stale).status_code == 403
    answer = tab.get(TOKEN)
    assert "no-store" in answer["Cache-Control"]
    fresh = {"x-csrftoken": answer.json()["token"]}
    assert command(tab, {"type": "read"}, headers=fresh).status_code == 200


def test_a_token_is_given_without_the_middleware_as_well(user, settings):
    settings.MIDDLEWARE = [name for name in MIDDLEWARE if "Csrf" not in name]
    tab = checked_tab(user)
    headers = {"x-csrftoken": tab.get(TOKEN).json()["token"]}
    assert command(tab, {"type": "read"}, headers=headers).status_code == 200


def test_a_token_is_given_to_a_user_by_get_alone(tab):
    assert Client().get(TOKEN).json()["code"] == "not_signed_in"
    assert tab.post(TOKEN).status_code == 405


def test_a_poll_needs_no_token(user):
    assert checked_tab(user).get(CHANGES).status_code == 200


def test_a_secret_of_the_session_that_is_garbage_is_renewed(user, settings):
    """CsrfViewMiddleware renews it after the view, through the session."""
    settings.CSRF_USE_SESSIONS = True
    tab = checked_tab(user)
    session = tab.session
    session["_csrftoken"] = "garbage"
    session.save()
    assert tab.get(CHANGES).status_code == 200


# -- Methods and caches --------------------------------------------------------------------------


def test_only_the_right_method_is_allowed(tab):
    for method in ("post", "put", "delete", "patch"):
        assert getattr(tab, method)(CHANGES).status_code == 405
    for method in ("get", "put", "delete", "patch"):
        answer = getattr(tab, method)(COMMANDS)
        assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_no_answer_is_stored(tab, client, user):
    notify.send(user, "one")
    cursor = tab.get(CHANGES).json()["cursor"]
    answers = [
        tab.get(CHANGES),
        tab.get(CHANGES, {"since": cursor}),
        tab.get(CHANGES, {"since": "x"}),
        Client().get(CHANGES),
        tab.post(CHANGES),
        command(tab, {"type": "read"}),
        command(tab, "garbage"),
        Client().post(COMMANDS),
        command(checked_tab(user), {"type": "read"}),
    ]
    assert [one.status_code for one in answers] == [200, 204, 400, 401, 405, 200, 400, 401, 403]
    for answer in answers[:-1]:
        assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_plain_request_to_the_websocket_is_426(method, client):
    """This holds for every visitor: the server supports no WebSocket here, or was not asked for one."""
    answer = getattr(client, method)(WS)
    assert answer.status_code == 426
    assert "Upgrade" not in answer


def test_a_server_of_pep_3333_can_send_that():
    """runserver without Channels asserts that a header is not reserved for the server."""
    environ = {"HTTP_HOST": "localhost", "HTTP_UPGRADE": "websocket", "SERVER_PROTOCOL": "HTTP/1.1"}
    setup_testing_defaults(environ)
    environ["PATH_INFO"] = WS
    sent, said = BytesIO(), StringIO()
    SimpleHandler(BytesIO(), sent, said, environ).run(WSGIHandler())
    assert said.getvalue() == ""
    assert sent.getvalue().startswith(b"HTTP/1.0 426 Upgrade Required\r\n")


# -- Sessions ------------------------------------------------------------------------------------


def expiry() -> Any:
    return Session.objects.get().expire_date


@pytest.fixture
def old_session(tab, settings):
    """A session that ends in an hour, on a site that prolongs it with each request."""
    settings.SESSION_SAVE_EVERY_REQUEST = True
    settings.ROOT_URLCONF = __name__
    Session.objects.update(expire_date=timezone.now() + timedelta(hours=1))
    return tab


@pytest.mark.parametrize(
    "ask",
    [
        lambda tab: tab.get(CHANGES),
        lambda tab: tab.get(CHANGES, {"since": "x"}),
        lambda tab: tab.get(STREAM),
        lambda tab: command(tab, {"type": "read"}),
    ],
)
def test_a_tab_does_not_keep_its_user_signed_in(ask, old_session):
    before = expiry()
    answer = ask(old_session)
    assert answer.status_code in (200, 400, 501)
    assert expiry() == before
    assert "sessionid" not in answer.cookies


def test_the_rest_of_the_site_does(old_session):
    before = expiry()
    answer = old_session.get("/page/")
    assert expiry() > before
    assert "sessionid" in answer.cookies


def test_a_session_that_somebody_changes_is_saved(old_session, settings):
    """The changes of a middleware after the view are saved."""
    settings.MIDDLEWARE = [MIDDLEWARE[0], f"{__name__}.note_the_poll", *MIDDLEWARE[1:]]
    old_session.get(CHANGES)
    assert old_session.session["polled"] == "True"


def test_a_session_may_be_read_after_the_view(old_session, settings):
    """A middleware that reads it prolongs nothing."""
    settings.MIDDLEWARE = [MIDDLEWARE[0], f"{__name__}.read_the_session", *MIDDLEWARE[1:]]
    before = expiry()
    answer = old_session.get(CHANGES)
    assert answer["X-User"] == str(get_user_model().objects.get().pk)
    assert expiry() == before


def note_the_poll(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        request.session["polled"] = str(isinstance(request.session, QuietSession) or "session")
        return response

    return middleware


def read_the_session(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        assert "_auth_user_id" in request.session
        response["X-User"] = request.session["_auth_user_id"]
        return response

    return middleware


def test_a_session_that_was_ended_stays_ended(tab, user, settings):
    """After a change of the password, it is flushed, and the cookie is deleted, as in every view."""
    user.set_password("another")
    user.save()
    answer = tab.get(CHANGES)
    assert answer.status_code == 401
    assert answer.cookies["sessionid"].value == ""
    assert not Session.objects.exists()


# -- Transactions, async -------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_no_transaction_is_open_around_a_view(tab, user, monkeypatch):
    """The views are exempt from ATOMIC_REQUESTS of any database, as publishing needs its own transactions."""
    for alias in connections:
        monkeypatch.setitem(connections[alias].settings_dict, "ATOMIC_REQUESTS", True)
    seen = []
    look = notify.inbox.changes

    def looked(*args: Any) -> Any:
        seen.extend(connections[alias].in_atomic_block for alias in connections)
        return look(*args)

    monkeypatch.setattr("notify.inbox.changes", looked)
    row = notify.send(user, "one")
    assert tab.get(CHANGES).status_code == 200
    assert seen == [False, False]
    command(tab, {"type": "read", "ids": [[row.pk, row.arrived]], "ref": 1})
    assert notify.inbox.counts(user) == (0, 0)
    assert tab.get(WS).status_code == 426


@pytest.mark.parametrize("name", ["changes", "commands", "stream", "token", "ws"])
def test_each_view_is_for_everybody_and_without_a_transaction(name):
    view = resolve(f"/notify/{name}/").func
    assert view._non_atomic_requests == {"default", "other"}
    assert view.login_required is False


def test_the_views_work_under_asgi(user):
    async def browse() -> None:
        tab = AsyncClient()
        await tab.aforce_login(user)
        row = await notify.asend(user, "one")
        answer = await tab.get(CHANGES)
        cursor = answer.json()["cursor"]
        assert (await tab.get(CHANGES, {"since": cursor})).status_code == 204
        document = {"type": "read", "ids": [[row.pk, row.arrived]], "ref": 1}
        answer = await tab.post(COMMANDS, document, content_type="application/json")
        assert (answer.status_code, answer.json()["ref"]) == (200, 1)
        assert (await AsyncClient().get(CHANGES)).status_code == 401
        answer = await tab.get(WS)
        assert (answer.status_code, answer["Upgrade"]) == (426, "websocket")

    async_to_sync(browse)()
    assert notify.inbox.counts(user) == (0, 0)


# -- Server push that reaches Django -------------------------------------------------------------


def test_a_stream_is_refused_with_a_hint(tab, user, caplog):
    """The script continues with polls. The attempts are neither logged nor mailed to ADMINS."""
    notify.send(user, "one")
    answer = tab.get(STREAM)
    assert answer.status_code == 501
    document = answer.json()
    assert (document["type"], document["ref"], document["code"]) == ("error", None, "no_stream")
    assert "notify_asgi" in document["message"]
    assert "no-store" in answer["Cache-Control"]
    assert "Retry-After" not in answer
    assert caplog.records == []


def test_where_nothing_can_be_held_a_question_is_answered_at_once(tab, user):
    """Its Retry-After says when to ask again, and that the request was not held."""
    notify.send(user, "one")
    first = tab.get(CHANGES, {"wait": 25})
    since = first.json()["cursor"]
    second = tab.get(CHANGES, {"wait": 25, "since": since})
    assert [one.status_code for one in (first, second)] == [200, 204]
    assert first["Retry-After"] == second["Retry-After"] == "5"
    assert "Retry-After" not in tab.get(CHANGES)
    assert tab.get(CHANGES, {"wait": "soon"}).json()["code"] == "bad_wait"


def test_who_may_not_is_told_so_there_too(client, tab):
    assert Client().get(STREAM).json()["code"] == "not_signed_in"
    assert Client().get(CHANGES, {"wait": 25}).json()["code"] == "not_signed_in"
    assert tab.post(STREAM).status_code == 405
    assert tab.head(STREAM).status_code == 405


@pytest.mark.parametrize("path", [STREAM, f"{CHANGES}?wait=25"])
def test_a_session_that_cannot_be_read_is_503_there_too(path, tab, monkeypatch):
    monkeypatch.setattr(SessionStore, "load", fail)
    answer = tab.get(path)
    assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("is_atomic", [False, True])
async def test_an_event_loop_changes_nothing(is_atomic, user, settings, monkeypatch):
    """Under an ASGI server whose asgi.py is Django alone, no request is held either."""
    settings.CHANNEL_LAYERS = {}
    for alias in connections:
        monkeypatch.setitem(connections[alias].settings_dict, "ATOMIC_REQUESTS", is_atomic)
    tab = AsyncClient()
    await tab.aforce_login(user)
    await notify.asend(user, "one")
    first = await tab.get(CHANGES, {"wait": 25})
    second = await tab.get(CHANGES, {"wait": 25, "since": first.json()["cursor"]})
    assert [one.status_code for one in (first, second)] == [200, 204]
    assert first["Retry-After"] == second["Retry-After"] == "5"
    answer = await tab.get(STREAM)
    assert (answer.status_code, answer.json()["code"]) == (501, "no_stream")
    assert (await AsyncClient().get(STREAM)).status_code == 401
    await close_connections()
