from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import OperationalError

from notify import log, signals
from notify.models import Notification

FAULTS: list[tuple[signals.Signal, dict[str, Any], str]] = [
    (
        signals.publish_failed,
        {"recipient_ids": [1, 2, 3]},
        "could not update the mailboxes of 3 users; the next sweep, poll or send will retry",
    ),
    (signals.ring_failed, {}, "could not send through the channel layer; the sweep will deliver"),
    (signals.ring_ignored, {}, "ignored a message from the channel layer that it could not read"),
    (signals.layer_failed, {"doing": "join a group"}, "hub could not join a group; the sweep"),
    (signals.read_failed, {"recipient_id": 1}, "could not read a mailbox"),
    (signals.sweep_failed, {}, "sweep failed; the next sweep will retry"),
    (
        signals.connect_failed,
        {"recipient_id": 7},
        "could not read the mailbox of user 7 for a connection",
    ),
    (
        signals.action_failed,
        {"recipient_id": 7, "notification": Notification(pk=812), "action": "orders.undo"},
        "handler of the action 'orders.undo' failed for notification 812 of user 7. Nothing was changed",
    ),
    (
        signals.command_failed,
        {"recipient_id": 7},
        "could not execute a command; the tab is informed",
    ),
    (signals.request_failed, {"path": "/notify/changes/"}, "a request for /notify/changes/;"),
    (
        signals.progress_failed,
        {"recipient_id": 7},
        "progress of a task (user: 7); the task continues",
    ),
]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [1000.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    return now


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "notify"]


@pytest.mark.parametrize(("signal", "arguments", "text"), FAULTS)
def test_a_fault_is_logged_with_its_traceback(signal, arguments, text, clock, caplog):
    """The app connects the receivers when it is ready. An exception of the site's own code is an error."""
    error = OSError("connection refused")
    signal.send_robust(Notification, error=error, **arguments)
    (record,) = [record for record in caplog.records if record.name == "notify"]
    is_ours = signal is not signals.action_failed
    assert record.levelno == (logging.WARNING if is_ours else logging.ERROR)
    assert text in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_the_mailbox_of_one_user_may_be_the_only_one(clock, caplog):
    signals.publish_failed.send_robust(Notification, recipient_ids=[7], error=OSError("down"))
    assert "could not update the mailboxes of 1 user; the next sweep" in said(caplog)[0]


def test_who_opened_a_websocket_may_be_unknown(clock, caplog):
    signals.connect_failed.send_robust(Notification, recipient_id=None, error=OSError("down"))
    assert "could not look up the user for a connection" in said(caplog)[0]


def test_a_full_process_names_the_setting_and_needs_no_traceback(clock, caplog, settings):
    settings.NOTIFY_MAX_CONNECTIONS = 3
    for setting, user in (
        ("NOTIFY_MAX_CONNECTIONS", None),
        ("NOTIFY_MAX_CONNECTIONS", None),
        ("NOTIFY_MAX_CONNECTIONS_PER_USER", 7),
    ):
        signals.connection_refused.send_robust(Notification, setting=setting, recipient_id=user)
    everybody, one = said(caplog)
    assert "NOTIFY_MAX_CONNECTIONS = 3." in everybody
    assert "a connection of user 7" in one
    assert caplog.records[0].exc_info is None


def test_every_signal_of_a_fault_is_logged():
    """Signals that report no fault are not logged."""
    silent = {
        "sent",
        "published",
        "delivered",
        "repaired",
        "cancel_asked",
        "seen",
        "read",
        "archived",
        "acted",
    }
    silent |= {"connection_refused", "message_refused"}  # logged, but without a fault
    every = {name: one for name, one in vars(signals).items() if isinstance(one, signals.Signal)}
    logged = {id(signal) for signal, *_ in FAULTS}
    assert {name for name, one in every.items() if id(one) not in logged} == silent


def test_a_layer_that_is_down_is_told_once_a_minute(clock, caplog):
    """The next line reports how many were left out, and the count starts anew."""
    for now in (1000.0, 1000.1, 1030.0, 1059.9):
        clock[0] = now
        signals.ring_failed.send_robust(Notification, error=OSError("down"))
    assert len(said(caplog)) == 1
    assert "more since" not in said(caplog)[0]
    clock[0] = 1060.0
    signals.ring_failed.send_robust(Notification, error=OSError("down"))
    assert said(caplog)[1].endswith(
        "deliver any change. (3 more since the last log line of this kind.)"
    )
    clock[0] = 1120.0
    signals.ring_failed.send_robust(Notification, error=OSError("down"))
    assert said(caplog)[2] == said(caplog)[0]


def test_five_thousand_tabs_without_a_database_are_a_few_lines(clock, caplog):
    for _ in range(5000):
        for signal, arguments, _text in FAULTS:
            signal.send_robust(Notification, error=OSError("down"), **arguments)
    assert len(said(caplog)) == len(FAULTS)


def test_one_fault_does_not_silence_another(clock, caplog):
    for signal, arguments, _ in FAULTS:
        signal.send_robust(Notification, error=OSError("down"), **arguments)
    assert len(said(caplog)) == len(FAULTS)


def test_the_first_fault_of_a_young_machine_is_told(clock, caplog):
    """A monotonic clock may start at zero."""
    clock[0] = 0.0
    signals.ring_failed.send_robust(Notification, error=OSError("down"))
    assert len(said(caplog)) == 1


def test_connecting_twice_says_it_once(clock, caplog):
    log.connect()
    signals.sweep_failed.send_robust(Notification, error=OSError("down"))
    clock[0] += 100
    log.connect()
    signals.sweep_failed.send_robust(Notification, error=OSError("down"))
    assert len(said(caplog)) == 2


def test_a_refused_connection_is_told_once_a_minute_for_each_limit(clock, caplog):
    """It is no fault of the code, so there is no traceback. The setting is named with its value."""
    for recipient in (7, 8):
        for setting, whose in (
            ("NOTIFY_MAX_CONNECTIONS", None),
            ("NOTIFY_MAX_CONNECTIONS_PER_USER", recipient),
        ):
            signals.connection_refused.send_robust(object, setting=setting, recipient_id=whose)
    process, user = said(caplog)
    assert "a connection: this process has reached NOTIFY_MAX_CONNECTIONS = 10000" in process
    assert "of user 7: this process has reached NOTIFY_MAX_CONNECTIONS_PER_USER = 100" in user
    assert all(record.exc_info is None for record in caplog.records)


def test_a_refused_origin_is_told_with_its_hint(clock, caplog):
    refused = {"reason": "foreign_origin", "recipient_id": None}
    signals.connection_refused.send_robust(object, hint="Origin 'x'. Add it.", **refused)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "its origin is not allowed: Origin 'x'. Add it. The tab stops" in record.getMessage()


def test_other_refusals_are_told_as_information(clock, caplog):
    """A session that has ended, or a process that is being replaced, is no fault."""
    caplog.set_level(logging.INFO, "notify")
    for reason in ("not_signed_in", "not_signed_in", "going_away"):
        signals.connection_refused.send_robust(object, reason=reason, recipient_id=None)
    assert said(caplog) == [
        "notify refused a connection: not_signed_in.",
        "notify refused a connection: going_away.",
    ]
    assert {record.levelno for record in caplog.records} == {logging.INFO}


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_tab_that_asks_in_vain_is_no_error_in_djangos_log(
    method, client, user, monkeypatch, caplog
):
    """Django would mail it to ADMINS, for each tab every five seconds."""

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr("notify.inbox.changes", refuse)
    monkeypatch.setattr("notify.mailbox.marks.mark", refuse)
    client.force_login(user)
    for _ in range(3):
        if method == "get":
            answer = client.get("/notify/changes/")
        else:
            command = {"type": "read", "ids": [[1, 1]], "ref": 7}
            answer = client.post("/notify/commands/", command, content_type="application/json")
        assert answer.status_code == 503
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("notify", "WARNING")
    assert client.get("/nowhere/").status_code == 404
    assert caplog.records[1].name == "django.request"  # everything else is logged
