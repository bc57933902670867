"""The one door of all push transports, in the order of what it costs."""

from __future__ import annotations

import threading

import pytest

from notify import signals
from notify.auth import session as auth
from notify.live import limits
from notify.live.hub import Hub
from notify.protocol import CloseCode
from notify.transports.admission import Refused, admit
from tests.kit.fakes import close_connections, scope_of, until
from tests.kit.patience import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


class Sender:
    """A transport."""


@pytest.fixture(autouse=True)
async def quiet(settings, transactional_db):
    settings.CHANNEL_LAYERS = {}
    yield
    await Hub.close_here()
    await close_connections()


@pytest.fixture
def told():
    """What the signals have told, and of whom."""
    notes = []

    def note(signal, sender, recipient, setting=None, error=None, **kwargs):
        notes.append((sender, recipient, setting or type(error)))

    for signal in (signals.connection_refused, signals.connect_failed):
        signal.connect(note)
    yield notes
    for signal in (signals.connection_refused, signals.connect_failed):
        signal.disconnect(note)


async def refusal(scope) -> CloseCode:
    with pytest.raises(Refused) as caught:
        async with admit(scope, Sender):
            raise AssertionError("It was let in.")
    assert limits.connections[limits.EVERYBODY] == 0
    return caught.value.code


@pytest.mark.parametrize("path", ["/notify/ws/", "/notify/stream/", "/notify/changes/"])
async def test_who_is_signed_in_is_let_in_and_counted(path, session, user):
    async with admit(scope_of(path, session=session), Sender) as visitor:
        assert (visitor.user, visitor.session) == (user.pk, session)
        assert limits.connections[limits.EVERYBODY] == limits.connections[user.pk] == 1
    assert limits.connections[limits.EVERYBODY] == limits.connections[user.pk] == 0


async def test_who_fails_inside_is_counted_no_more(session, user):
    with pytest.raises(ZeroDivisionError):
        async with admit(scope_of(session=session), Sender):
            raise ZeroDivisionError
    assert limits.connections[limits.EVERYBODY] == limits.connections[user.pk] == 0


async def test_nobody_is_refused(told):
    assert await refusal(scope_of()) is CloseCode.NOT_SIGNED_IN
    assert told == []


async def test_a_foreign_page_is_refused_before_anything_is_counted(session, monkeypatch, settings):
    settings.NOTIFY_MAX_CONNECTIONS = 0
    monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
    scope = scope_of(session=session, headers={"origin": "http://evil.com"})
    assert await refusal(scope) is CloseCode.FOREIGN_ORIGIN


async def test_a_process_that_ends_lets_nobody_in(session, monkeypatch):
    monkeypatch.setattr(auth, "sign_in", lambda scope: 1 / 0)
    Hub.here().is_draining = True
    assert await refusal(scope_of(session=session)) is CloseCode.GOING_AWAY


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
                raise AssertionError("It was let in.")
    assert caught.value.code is CloseCode.TOO_MANY
    assert told == [(Sender, None, "NOTIFY_MAX_CONNECTIONS")]


async def test_those_who_are_being_looked_up_count(session, monkeypatch, settings):
    settings.NOTIFY_MAX_CONNECTIONS = 1
    gate, sign_in = threading.Event(), auth.sign_in
    monkeypatch.setattr(auth, "sign_in", lambda scope: gate.wait(PATIENCE) and sign_in(scope))
    first = Hub.here().spawn(refusal(scope_of()))
    await until(lambda: limits.connections[limits.EVERYBODY])
    with pytest.raises(Refused):
        async with admit(scope_of(session=session), Sender):
            raise AssertionError("It was let in.")
    gate.set()
    assert await first is CloseCode.NOT_SIGNED_IN


async def test_a_user_has_a_limit_of_his_own(session, settings, told, user):
    settings.NOTIFY_MAX_CONNECTIONS_PER_USER = 1
    async with admit(scope_of(session=session), Sender):
        with pytest.raises(Refused) as caught:
            async with admit(scope_of(session=session), Sender):
                raise AssertionError("It was let in.")
        assert limits.connections[limits.EVERYBODY] == 1
    assert caught.value.code is CloseCode.TOO_MANY
    assert told == [(Sender, user.pk, "NOTIFY_MAX_CONNECTIONS_PER_USER")]
