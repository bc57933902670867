from __future__ import annotations

import logging

import pytest

from notify import log, signals
from notify.models import Notification

FAULTS = [
    (signals.publish_failed, {"recipients": [1, 2, 3]}, "could not publish or archive for 3 users"),
    (signals.ring_failed, {}, "could not ring through the channel layer; the sweep delivers"),
    (signals.read_failed, {"recipient": 1}, "could not read a mailbox"),
    (signals.sweep_failed, {}, "sweep failed; the next one tries again"),
]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is set, and nothing said yet."""
    now = [1000.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(log, "_last", {})
    return now


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "notify"]


@pytest.mark.parametrize(("signal", "arguments", "text"), FAULTS)
def test_a_fault_is_a_warning_with_its_traceback(signal, arguments, text, clock, caplog):
    """The app has connected the receivers when it was made ready."""
    error = OSError("connection refused")
    signal.send_robust(Notification, error=error, **arguments)
    (record,) = [record for record in caplog.records if record.name == "notify"]
    assert record.levelno == logging.WARNING
    assert text in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_layer_that_is_down_is_told_once_a_minute(clock, caplog):
    for now in (1000.0, 1000.1, 1030.0, 1059.9):
        clock[0] = now
        signals.ring_failed.send_robust(Notification, error=OSError("down"))
    assert len(said(caplog)) == 1
    clock[0] = 1060.0
    signals.ring_failed.send_robust(Notification, error=OSError("down"))
    assert len(said(caplog)) == 2


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
