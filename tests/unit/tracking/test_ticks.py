"""Ticks: the progress of tasks between two writes of their rows."""

from __future__ import annotations

import asyncio
import json
import threading

from notify import doorbell, signals
from notify.runtime import background
from notify.tracking import ticks
from notify.tracking.run import StoredTask, TaskRun
from tests.kit.fakes import errors_of
from tests.kit.patience import PATIENCE


def run(recipient, done):
    return TaskRun(
        recipient, "Importing", stored=StoredTask(pk=done), done=done, total=10, message="Page 1"
    )


def test_the_tabs_here_are_told_by_hand_one_document_for_each_user(hub):
    ticks.send([run(1, 3), run(2, 4), run(1, 5)])
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
        ((recipient, text),) = doorbell.contents(message)["ticks"]
        sent.append((group, recipient, json.loads(text)["ticks"][0]["done"]))

    layer.group_send = send
    ticks.send([run(1, 1)])
    assert has_begun.wait(PATIENCE)
    ticks.send([run(1, 2)])
    ticks.send([run(1, 3)])
    loops[0].call_soon_threadsafe(may_go_on.set)
    assert background.flush(PATIENCE)
    assert sent == [(doorbell.group_of("1"), "1", 1), (doorbell.group_of("1"), "1", 3)]


def test_nothing_is_made_where_nobody_listens(settings, monkeypatch):
    settings.CHANNEL_LAYERS = {}
    monkeypatch.setattr(ticks.protocol, "tick", lambda ticks: 1 / 0)
    ticks.send([run(1, 1)])
    ticks.send([])


def test_whatever_a_hub_raises_is_told_by_a_signal(hub):
    hub.tick = lambda ticked: 1 / 0
    with errors_of(signals.ring_failed) as errors:
        ticks.send([run(1, 1)])
    assert [type(error) for error in errors] == [ZeroDivisionError]
