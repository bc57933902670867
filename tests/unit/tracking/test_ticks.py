"""Ticks: how far tasks are between two writings of their rows."""

from __future__ import annotations

import asyncio
import json
import os
import threading

import pytest

from notify import signals
from notify.runtime import executor as threads
from notify.tracking import ticks
from notify.tracking.rows import Run
from tests.kit.fakes import errors_of
from tests.kit.patience import PATIENCE


def run(recipient, done):
    return Run(recipient, "Importing", pk=done, done=done, total=10, message="Page 1")


def test_the_tabs_here_are_told_by_hand_one_document_for_each_user(hub):
    ticks.tell([run(1, 3), run(2, 4), run(1, 5)])
    told = {recipient: json.loads(text)["ticks"] for recipient, text in hub.ticked}
    assert [tick["done"] for tick in told["1"]] == [3, 5]
    assert told["2"] == [{"id": 4, "attempt": 1, "done": 4, "total": 10, "message": "Page 1"}]


def test_others_are_told_through_the_layer_and_only_the_newest(layer):
    has_begun, may_go_on = threading.Event(), asyncio.Event()
    sent, loops = [], []

    async def send(group, message):
        loops.append(asyncio.get_running_loop())
        has_begun.set()
        await may_go_on.wait()
        sent.append((group, json.loads(message["ticks"][0][1])["ticks"][0]["done"]))

    layer.group_send = send
    ticks.tell([run(1, 1)])
    assert has_begun.wait(PATIENCE)
    ticks.tell([run(1, 2)])
    ticks.tell([run(1, 3)])
    loops[0].call_soon_threadsafe(may_go_on.set)
    assert threads.flush(PATIENCE)
    assert sent == [("notify.user.1", 1), ("notify.user.1", 3)]


def test_nothing_is_made_where_nobody_listens(settings, monkeypatch):
    settings.CHANNEL_LAYERS = {}
    monkeypatch.setattr(ticks.protocol, "tick", lambda ticks: 1 / 0)
    ticks.tell([run(1, 1)])
    ticks.tell([])


def test_whatever_a_hub_raises_is_told_by_a_signal(hub):
    hub.tick = lambda ticked: 1 / 0
    with errors_of(signals.ring_failed) as errors:
        ticks.tell([run(1, 1)])
    assert [type(error) for error in errors] == [ZeroDivisionError]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_has_no_flights_of_its_parent():
    before = ticks.outgoing
    ticks._forget()
    assert ticks.outgoing is not before
