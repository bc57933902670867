"""The admission of all push transports, in which cheap checks come first."""

from __future__ import annotations

import threading

import pytest

from notify import signals
from notify.auth import session as auth
from notify.auth.identity import identity
from notify.live import limits
from notify.live.hub import Hub
from notify.protocol import CloseCode
from notify.transports import http
from notify.transports.admission import HttpTransport, Refused, admit
from tests.kit.fakes import Exchange, scope_of, until
from tests.kit.patience import PATIENCE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quiet")]


class Sender:
    """A transport."""


@pytest.fixture
def told():
    """The signals that were sent, with their user, and the setting, reason or error."""
    notes = []

    def note(signal, sender, recipient_id, reason="", setting="", error=None, **kwargs):
        notes.append((sender, recipient_id, setting or reason or type(error)))

    for signal in (signals.connection_refused, signals.connect_failed):
        signal.connect(note)
    yield notes
    for signal in (signals.connection_refused, signals.connect_failed):
        signal.disconnect(note)


async def refusal(scope) -> CloseCode:
    with pytest.raises(Refused) as caught:
        async with admit(scope, Sender):
            raise AssertionError("It was admitted.")
    assert limits.connections()[limits.EVERYBODY] == 0
    return caught.value.code


@pytest.mark.parametrize("path", ["/notify/ws/", "/notify/stream/", "/notify/changes/"])
async def test_who_is_signed_in_is_let_in_and_counted(path, session, user):
    async with admit(scope_of(path, session=session), Sender) as visitor:
        assert (visitor.user_id, visitor.session) == (user.pk, session)
        assert limits.connections()[limits.EVERYBODY] == limits.connections()[user.pk] == 1
    assert limits.connections()[limits.EVERYBODY] == limits.connections()[user.pk] == 0


async def test_who_fails_inside_is_counted_no_more(session, user):
    with pytest.raises(ZeroDivisionError):
        async with admit(scope_of(session=session), Sender):
            raise ZeroDivisionError
    assert limits.connections()[limits.EVERYBODY] == limits.connections()[user.pk] == 0


async def test_nobody_is_refused(told):
    assert await refusal(scope_of()) is CloseCode.NOT_SIGNED_IN
    assert told == [(Sender, None, "not_signed_in")]


async def test_a_page_of_another_user_is_refused(session, user, other_user, told):
    """Its tab has reconnected with the cookie of the user who is signed in now."""
    scope = scope_of(session=session, page_of=identity(other_user.pk))
    assert await refusal(scope) is CloseCode.ANOTHER_USER
    assert told == [(Sender, user.pk, "another_user")]
    assert limits.connections()[user.pk] == 0
    async with admit(scope_of(session=session, page_of=identity(user.pk)), Sender) as visitor:
        assert visitor.user_id == user.pk


async def test_a_foreign_page_is_refused_before_anything_is_counted(
    session, monkeypatch, settings, told
):
    settings.NOTIFY_MAX_CONNECTIONS = 0
    monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
    scope = scope_of(session=session, headers={"origin": "http://evil.com"})
    assert await refusal(scope) is CloseCode.FOREIGN_ORIGIN
    assert told == [(Sender, None, "foreign_origin")]


async def test_a_refused_origin_is_logged_with_its_likely_cause(session, caplog):
    """Otherwise a proxy that changes Host would stop every tab without a word."""
    scope = scope_of(session=session, headers={"origin": "http://testserver:8443"})
    for _ in range(2):
        assert await refusal(scope) is CloseCode.FOREIGN_ORIGIN
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("notify", "WARNING")
    said = record.getMessage()
    assert "Origin 'http://testserver:8443', Host 'testserver'." in said
    assert "proxy_set_header Host $http_host" in said


@pytest.mark.parametrize("path", ["/notify/ws/", "/notify/stream/", "/notify/changes/"])
async def test_an_overlong_query_is_refused_before_anything_else(session, monkeypatch, told, path):
    monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
    scope = scope_of(path, session=session, headers={"origin": "http://evil.com"})
    scope["query_string"] = b"wait=1" + b"&a" * 30_000
    assert await refusal(scope) is CloseCode.PROTOCOL
    assert told == [(Sender, None, "protocol")]


async def test_a_process_that_ends_lets_nobody_in(session, monkeypatch, told):
    monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
    Hub.here().is_draining = True
    assert await refusal(scope_of(session=session)) is CloseCode.GOING_AWAY
    assert told == [(Sender, None, "going_away")]


async def test_a_look_up_that_fails_is_told(session, monkeypatch, told):
    monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
    assert await refusal(scope_of(session=session)) is CloseCode.GOING_AWAY
    assert told == [(Sender, None, ZeroDivisionError)]


async def test_a_full_process_asks_the_database_nothing(session, monkeypatch, settings, told):
    settings.NOTIFY_MAX_CONNECTIONS = 1
    async with admit(scope_of(session=session), Sender):
        monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
        with pytest.raises(Refused) as caught:
            async with admit(scope_of(session=session), Sender):
                raise AssertionError("It was admitted.")
    assert caught.value.code is CloseCode.TOO_MANY
    assert told == [(Sender, None, "NOTIFY_MAX_CONNECTIONS")]


async def test_those_who_are_being_looked_up_count(session, monkeypatch, settings):
    settings.NOTIFY_MAX_CONNECTIONS = 1
    gate, sign_in = threading.Event(), auth.sign_in
    monkeypatch.setattr(auth, "sign_in", lambda scope: gate.wait(PATIENCE) and sign_in(scope))
    first = Hub.here().spawn(refusal(scope_of()))
    await until(lambda: limits.connections()[limits.EVERYBODY])
    with pytest.raises(Refused):
        async with admit(scope_of(session=session), Sender):
            raise AssertionError("It was admitted.")
    gate.set()
    assert await first is CloseCode.NOT_SIGNED_IN


async def test_a_user_has_a_limit_of_his_own(session, settings, told, user):
    settings.NOTIFY_MAX_CONNECTIONS_PER_USER = 1
    async with admit(scope_of(session=session), Sender):
        with pytest.raises(Refused) as caught:
            async with admit(scope_of(session=session), Sender):
                raise AssertionError("It was admitted.")
        assert limits.connections()[limits.EVERYBODY] == 1
    assert caught.value.code is CloseCode.TOO_MANY
    assert told == [(Sender, user.pk, "NOTIFY_MAX_CONNECTIONS_PER_USER")]


# -- HTTP ----------------------------------------------------------------------------------------


class Greeting(HttpTransport):
    """Answers with the primary key of its user, or refuses."""

    refuses: CloseCode | None = None

    async def serve(self, scope, receive, send, visitor):
        if self.refuses:
            raise Refused(self.refuses)
        await http.answer(send, 200, str(visitor.user_id))


def greet(greeting, **more) -> Exchange:
    return Exchange(greeting, scope_of("/notify/stream/", **more))


async def test_an_admitted_client_is_answered_by_its_transport(session, user):
    exchange = greet(Greeting(), session=session)
    assert await exchange.ended() == 200
    assert exchange.body == str(user.pk)


async def test_a_client_that_is_not_admitted_gets_the_status_of_its_refusal():
    exchange = greet(Greeting())
    assert await exchange.ended() == 401
    assert exchange.json()["code"] == "not_signed_in"


@pytest.mark.parametrize("debug", [False, True])
async def test_with_debug_the_answer_to_a_foreign_page_has_the_likely_cause(debug, settings):
    settings.DEBUG = debug
    exchange = greet(Greeting(), headers={"origin": "http://testserver:8443"})
    assert await exchange.ended() == 403
    assert ("$http_host" in exchange.json()["message"]) is debug


async def test_a_page_of_another_user_is_refused_with_a_status(session, other_user):
    exchange = greet(Greeting(), session=session, page_of=identity(other_user.pk))
    assert await exchange.ended() == 403
    assert exchange.json()["code"] == "another_user"


async def test_a_transport_may_refuse_a_client_that_was_admitted(session):
    greeting = Greeting()
    greeting.refuses = CloseCode.GOING_AWAY
    exchange = greet(greeting, session=session)
    assert await exchange.ended() == 503
    assert exchange.json()["code"] == "going_away"
    assert limits.connections()[limits.EVERYBODY] == 0


async def test_only_get_is_looked_up(session, monkeypatch):
    monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
    exchange = greet(Greeting(), session=session, method="POST")
    assert await exchange.ended() == 405
    assert exchange.headers["allow"] == "GET"
