"""Rings: what leaves, where to, in how many hops, and that nothing ever comes back as an error."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import sys
import threading
import types

import pytest
from channels.layers import get_channel_layer

import notify
from notify import doorbell, signals
from notify.doorbell import Ring, group_of, messages, pack, unpack
from notify.models import Notification
from notify.protocol import Counts
from notify.runtime import executor as threads
from tests.kit.fakes import (
    EPOCH,
    FAKE_LAYER,
    at,
    document,
    errors_of,
    in_thread,
)
from tests.kit.patience import PATIENCE


@pytest.fixture
def failures():
    """The errors that were told by the signal ring_failed."""
    with errors_of(signals.ring_failed) as errors:
        yield errors


@pytest.fixture
def hops(monkeypatch):
    """The hops to the background loop."""
    made = []
    submit = threads.submit
    monkeypatch.setattr(threads, "submit", lambda work: made.append(1) or submit(work))
    return made


def ring_for(recipient, rows=1, position=6, **fields):
    notifications = [
        Notification(pk=n, recipient_id=1, position=n, arrived=n, message="m", **fields)
        for n in range(position, position + rows)
    ]
    return Ring(recipient, at(position - 1), at(position + rows - 1), Counts(1, 1), notifications)


def sent_by(layer):
    assert threads.flush(PATIENCE)
    return [group for name, group in layer.calls if name == "group_send"]


# -- Groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipient", ["1", "alice", "a.b-c_d", "x" * 64])
def test_a_plain_key_is_in_the_name_of_its_group(recipient):
    assert group_of(recipient) == f"notify.user.{recipient}"


@pytest.mark.parametrize(
    "recipient",
    ["a b", "ü", "a@b", "a:b", "", "x" * 65, "a\n", "१", "hash.x/y"],
    ids=repr,
)
def test_a_key_that_no_layer_takes_is_hashed(recipient):
    """Names are ASCII, short, and different for different keys."""
    name = group_of(recipient)
    assert get_channel_layer().require_valid_group_name(name)
    assert name.startswith("notify.hash.")
    assert name.isascii()
    assert name != group_of(recipient + "x")


# -- The message ---------------------------------------------------------------------------------


def test_a_ring_survives_the_layer():
    """What is packed is plain enough for JSON and msgpack, and comes out as it was."""
    changes = ring_for(1, rows=3).changes()
    packed = json.loads(json.dumps(pack("1", changes)))
    assert unpack(packed) == ("1", changes)


def test_a_ring_carries_a_small_document():
    assert '"message":"m"' in pack("1", ring_for(1).changes())[-1]


def test_a_large_document_stays_at_home(settings):
    """Invariant 10: the cursor alone makes the hubs read."""
    settings.NOTIFY_RING_MAX_BYTES = 1000
    packed = pack(
        "1", ring_for(1, message_="", **{}).changes() if False else document(5, 6, size=2000)
    )
    assert packed[-1] is None
    assert unpack(packed)[1].cursor == at(6)


def test_a_change_of_more_than_a_hundred_rows_rings_only_the_cursor():
    assert ring_for(1, rows=100).changes().rows is not None
    assert ring_for(1, rows=101).changes().rows is None
    assert Ring(1, at(1), at(500), Counts(0, 0), None).changes().rows is None


@pytest.mark.parametrize(
    "garbage",
    [
        [],
        None,
        ["1"],
        ["1", "x", "y", 1, 1, ""],
        ["1", f"{EPOCH}:1", f"{EPOCH}:2", 1, 1, "", "more"],
        ["1", f"{EPOCH}:1", f"{EPOCH}:2", 1, 1, 5],
        ["1", f"{EPOCH}:1", f"{EPOCH}:2", 1, 1, ["row"]],
        ["1", f"{EPOCH}:1", f"{EPOCH}:2", "1", 1, ""],
        ["1", f"{EPOCH}:1", f"{EPOCH}:2", None, 1, ""],
        ["1", 1, 2, 1, 1, ""],
    ],
    ids=repr,
)
def test_what_is_no_ring_is_refused_whole(garbage):
    """Half taken, it would stay in a room and break each frame that follows."""
    with pytest.raises((ValueError, TypeError)):
        unpack(garbage)


# -- Ringing -------------------------------------------------------------------------------------


def test_a_hub_of_this_process_gets_the_document_by_hand(hub, settings):
    settings.CHANNEL_LAYERS = {}
    ring = ring_for(7)
    doorbell.ring([ring])
    assert hub.rung == [("7", ring.changes())]


def test_a_layer_in_memory_is_not_rung(hub, hops, settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    doorbell.ring([ring_for(7)])
    assert len(hub.rung) == 1
    assert hops == []


def test_other_processes_are_rung_through_the_layer(layer):
    doorbell.ring([ring_for(7)])
    assert sent_by(layer) == ["notify.user.7"]


def test_nothing_to_ring_does_nothing(layer, hops):
    doorbell.ring([])
    assert hops == []


def test_the_layer_is_the_one_of_the_setting(settings):
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "tests.kit.fakes.UnmakeableLayer"},
        "rings": FAKE_LAYER["default"],
    }
    settings.NOTIFY_CHANNEL_LAYER = "rings"
    doorbell.ring([ring_for(7)])
    assert sent_by(get_channel_layer("rings")) == ["notify.user.7"]


def test_many_recipients_are_one_hop_to_the_common_group(layer, hops):
    """Invariant 12: 500 recipients cost one hop and a few messages, not a group each."""
    doorbell.ring([ring_for(pk) for pk in range(500)])
    sent = sent_by(layer)
    assert hops == [1]
    assert set(sent) == {doorbell.COMMON_GROUP}
    assert len(sent) < 10


def test_few_recipients_are_one_hop_to_their_groups(layer, hops, settings):
    settings.NOTIFY_COMMON_RING_FROM = 50
    doorbell.ring([ring_for(pk) for pk in range(49)])
    assert len(set(sent_by(layer))) == 49
    assert hops == [1]


def test_rings_that_continue_each_other_are_joined(settings):
    """By mailbox, in order; not over a gap, without a document, or beyond what a ring may carry."""
    join = doorbell.join
    whole = join([("1", document(1, 2)), ("2", document(7, 8)), ("1", document(2, 3))])
    assert [(who, one.since, one.cursor) for who, one in whole] == [
        ("1", at(1), at(3)),
        ("2", at(7), at(8)),
    ]
    assert whole[0][1].rows.index("message 2") < whole[0][1].rows.index("message 3")
    assert len(join([("1", document(1, 2)), ("1", document(3, 4))])) == 2
    assert len(join([("1", document(1, 2)), ("1", document(2, 3)._replace(rows=None))])) == 2
    settings.NOTIFY_RING_MAX_BYTES = 1000
    assert len(join([("1", document(1, 2, size=600)), ("1", document(2, 3, size=600))])) == 2


def test_what_is_rung_during_a_flight_goes_with_the_next(layer):
    """A burst costs two messages, and its rings leave in order."""
    gate = threading.Event()
    sent = []

    async def slow_send(group, message):
        sent.append(message["rings"])
        while not gate.is_set():
            await asyncio.sleep(0.001)

    layer.group_send = slow_send
    for position in range(6, 16):
        doorbell.ring([ring_for(7, position=position)])
    gate.set()
    assert threads.flush(PATIENCE)
    assert len(sent) <= 3
    intervals = [unpack(ring)[1] for rings in sent for ring in rings]
    assert (intervals[0].since, intervals[-1].cursor) == (at(5), at(15))
    assert all(one.cursor == two.since for one, two in itertools.pairwise(intervals))


def test_common_batches_hold_every_ring_once_and_are_bounded(settings):
    settings.NOTIFY_RING_MAX_BYTES = 10**6
    rung = [(str(pk), document(5, 6, size=1000)) for pk in range(300)]
    batches = list(messages(rung))
    assert [ring[0] for _, message in batches for ring in message["rings"]] == [
        str(pk) for pk in range(300)
    ]
    for _, message in batches:
        assert len(json.dumps(message)) < 2 * doorbell.COMMON_BATCH_BYTES


@pytest.mark.django_db(transaction=True)
def test_sending_to_many_from_a_worker_is_one_hop(make_user, layer, hops):
    users = [make_user(f"user{n}") for n in range(60)]
    notify.send_many(users, "Hello")
    assert hops == [1]
    assert set(sent_by(layer)) == {doorbell.COMMON_GROUP}


def test_kick_tells_every_process(hub, layer):
    """Of one session, or of a user whatever his session."""
    doorbell.kick(7, "fingerprint")
    doorbell.kick(7)
    assert hub.kicked == [("7", "fingerprint"), ("7", None)]
    assert sent_by(layer) == ["notify.user.7"] * 2


def test_a_kick_that_was_dropped_is_told(hub, layer, failures, monkeypatch):
    """The recheck of the other processes finds those who were deactivated."""
    monkeypatch.setattr(threads, "MAX_PENDING", 0)
    doorbell.kick(7)
    assert hub.kicked == [("7", None)]
    assert "a kick was dropped" in str(failures[0])
    gc.collect()  # and no coroutine is left that was never awaited


# -- Nothing raises ------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["raise", "hang"])
def test_a_layer_out_of_order_raises_nothing_and_is_told(layer, hub, failures, fault, monkeypatch):
    """The caller goes on at once; the hub of this process has its document all the same."""
    monkeypatch.setattr(doorbell, "RING_TIMEOUT", 0.05)
    layer.fault = fault
    doorbell.ring([ring_for(pk) for pk in range(5)])
    doorbell.kick(7, "fingerprint")
    assert len(hub.rung) == 5
    assert threads.flush(PATIENCE)
    assert len(failures) == 2  # one for each hop, not one for each recipient


def test_a_layer_whose_send_is_no_coroutine_raises_nothing(layer, failures):
    layer.group_send = lambda group, message: 1 / 0
    doorbell.ring([ring_for(7)])
    assert threads.flush(PATIENCE)
    assert [type(error) for error in failures] == [ZeroDivisionError]


@pytest.mark.parametrize("backend", ["tests.kit.fakes.UnmakeableLayer", "no.such.Layer"])
def test_a_layer_that_cannot_be_made_raises_nothing(settings, hub, failures, backend):
    """Local hubs are rung all the same."""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend}}
    doorbell.ring([ring_for(7)])
    doorbell.kick(7, "fingerprint")
    assert len(hub.rung) == len(hub.kicked) == 1
    assert len(failures) == 2


def test_a_hub_that_fails_raises_nothing(hub, failures):
    hub.take = hub.kick = lambda *args: 1 / 0
    doorbell.ring([ring_for(7)])
    doorbell.kick(7, "fingerprint")
    assert len(failures) == 2


def test_too_many_rings_are_dropped_and_told(layer, failures, monkeypatch):
    monkeypatch.setattr(threads, "MAX_WAITING", -1)
    doorbell.ring([ring_for(7)])
    assert "wait for the channel layer" in str(failures[0])
    gc.collect()  # and no coroutine is left that was never awaited


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", ["raise", "hang"])
def test_a_layer_out_of_order_raises_nothing_into_send(user, layer, fault, monkeypatch):
    monkeypatch.setattr(doorbell, "RING_TIMEOUT", 0.05)
    layer.fault = fault
    sent = in_thread(lambda: [notify.send(user, "Hello") for _ in range(3)])
    assert [row.position is not None for row in sent] == [True] * 3
    assert threads.flush(PATIENCE)


def test_under_greenlets_no_event_loop_is_touched(layer, hub, hops, monkeypatch):
    """The sweep of the other processes delivers."""
    gevent = types.ModuleType("gevent.monkey")
    gevent.is_module_patched = lambda name: True
    monkeypatch.setitem(sys.modules, "gevent.monkey", gevent)
    doorbell.ring([ring_for(7)])
    doorbell.kick(7, "fingerprint")
    assert len(hub.rung) == len(hub.kicked) == 1
    assert hops == []
