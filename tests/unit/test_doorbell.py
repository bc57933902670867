"""Rings: their messages and groups, the number of hops, and that no failure reaches the caller."""

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
from notify import doorbell, installation, signals
from notify.doorbell import Page, contents, group_of, messages, pack, unpack
from notify.models import Notification
from notify.protocol import Counts
from notify.runtime import background
from tests.kit.fakes import (
    EPOCH,
    FAKE_LAYER,
    at,
    document,
    errors_of,
    in_thread,
    until,
)
from tests.kit.patience import PATIENCE


@pytest.fixture
def failures():
    """The errors that the signal ring_failed reported."""
    with errors_of(signals.ring_failed) as errors:
        yield errors


@pytest.fixture
def hops(monkeypatch):
    """The hops to the background loop."""
    made = []
    submit = background.submit
    monkeypatch.setattr(background, "submit", lambda work: made.append(1) or submit(work))
    return made


def ring_for(recipient, rows=1, position=6, **fields):
    notifications = [
        Notification(pk=n, recipient_id=1, position=n, arrived=n, message="m", **fields)
        for n in range(position, position + rows)
    ]
    head = at(position + rows - 1)
    since = at(position - 1)
    return Page(since, head, head.position, Counts(1, 1), notifications, recipient_id=recipient)


def sent_by(layer):
    assert background.flush(PATIENCE)
    return [group for name, group in layer.calls if name == "group_send"]


# -- Groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipient", ["1", "alice", "a.b-c_d", "x" * 64])
def test_a_plain_key_is_in_the_name_of_its_group(recipient):
    assert group_of(recipient) == f"notify.{installation.group_id()}.user.{recipient}"
    assert len(group_of(recipient)) < 100


@pytest.mark.parametrize(
    "recipient",
    ["a b", "ü", "a@b", "a:b", "", "x" * 65, "a\n", "१", "hash.x/y"],
    ids=repr,
)
def test_a_key_that_no_layer_takes_is_hashed(recipient):
    """Names are short, ASCII only, and different for different keys."""
    name = group_of(recipient)
    assert get_channel_layer().require_valid_group_name(name)
    assert name.startswith(f"notify.{installation.group_id()}.hash.")
    assert name.isascii()
    assert name != group_of(recipient + "x")


# -- The message ---------------------------------------------------------------------------------


def test_a_ring_survives_the_layer():
    """A packed ring is plain enough for JSON and msgpack, and is restored unchanged."""
    changes = ring_for(1, rows=3).changes()
    packed = json.loads(json.dumps(pack("1", changes)))
    assert unpack(packed) == ("1", changes)


def test_a_ring_carries_a_small_document():
    assert '"message":"m"' in pack("1", ring_for(1).changes())[-1]


def test_a_large_document_stays_at_home(monkeypatch):
    """Invariant 10: the cursor alone makes the hubs read."""
    monkeypatch.setattr(doorbell, "RING_MAX_BYTES", 1000)
    packed = pack(
        "1", ring_for(1, message_="", **{}).changes() if False else document(5, 6, size=2000)
    )
    assert packed[-1] is None
    assert unpack(packed)[1].cursor == at(6)


def test_a_change_of_more_than_a_hundred_rows_rings_only_the_cursor():
    assert ring_for(1, rows=100).changes().rows is not None
    assert ring_for(1, rows=101).changes().rows is None
    assert Page(at(1), at(500), 500, Counts(0, 0), None).changes().rows is None


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
    """A partly accepted ring would stay in a room, and break each later frame."""
    with pytest.raises((ValueError, TypeError)):
        unpack(garbage)


def test_a_message_is_read_as_it_was_sent_and_only_if_it_is_signed():
    sent = json.loads(json.dumps(doorbell.message(doorbell.KICK, recipient="7", session=None)))
    assert (sent["type"], sent["from"]) == ("notify.kick", doorbell.process())
    database = installation.database_id()
    assert contents(sent) == {"database": database, "recipient": "7", "session": None}
    sent["body"] = sent["body"].replace("7", "8")
    with pytest.raises(ValueError, match="SECRET_KEY"):
        contents(sent)


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
    assert sent_by(layer) == [group_of("7")]


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
    assert sent_by(get_channel_layer("rings")) == [group_of("7")]


def test_many_recipients_are_one_hop_to_the_common_group(layer, hops):
    """Invariant 12: 500 recipients cost one hop and a few messages, not one for each group."""
    doorbell.ring([ring_for(pk) for pk in range(500)])
    sent = sent_by(layer)
    assert hops == [1]
    assert set(sent) == {doorbell.common_group()}
    assert len(sent) < 10


def test_few_recipients_are_one_hop_to_their_groups(layer, hops, monkeypatch):
    monkeypatch.setattr(doorbell, "COMMON_RING_FROM", 50)
    doorbell.ring([ring_for(pk) for pk in range(49)])
    assert len(set(sent_by(layer))) == 49
    assert hops == [1]


def test_rings_that_continue_each_other_are_joined(monkeypatch):
    """
    They are joined by mailbox and in order, but not over a gap, without a document, or beyond the
    size of a ring.
    """
    join = doorbell.join
    whole = join([("1", document(1, 2)), ("2", document(7, 8)), ("1", document(2, 3))])
    assert [(who, one.since, one.cursor) for who, one in whole] == [
        ("1", at(1), at(3)),
        ("2", at(7), at(8)),
    ]
    assert whole[0][1].rows.index("message 2") < whole[0][1].rows.index("message 3")
    assert len(join([("1", document(1, 2)), ("1", document(3, 4))])) == 2
    assert len(join([("1", document(1, 2)), ("1", document(2, 3)._replace(rows=None))])) == 2
    monkeypatch.setattr(doorbell, "RING_MAX_BYTES", 1000)
    assert len(join([("1", document(1, 2, size=600)), ("1", document(2, 3, size=600))])) == 2


def test_what_is_rung_during_a_flight_goes_with_the_next(layer):
    """A burst costs two messages, and its rings are sent in order."""
    gate = threading.Event()
    sent = []

    async def slow_send(group, message):
        sent.append(contents(message)["rings"])
        while not gate.is_set():
            await asyncio.sleep(0.001)

    layer.group_send = slow_send
    for position in range(6, 16):
        doorbell.ring([ring_for(7, position=position)])
    gate.set()
    assert background.flush(PATIENCE)
    assert len(sent) <= 3
    intervals = [unpack(ring)[1] for rings in sent for ring in rings]
    assert (intervals[0].since, intervals[-1].cursor) == (at(5), at(15))
    assert all(one.cursor == two.since for one, two in itertools.pairwise(intervals))


def test_common_batches_hold_every_ring_once_and_are_bounded(monkeypatch):
    monkeypatch.setattr(doorbell, "RING_MAX_BYTES", 10**6)
    rung = [(str(pk), document(5, 6, size=1000)) for pk in range(300)]
    batches = list(messages(rung))
    assert [ring[0] for _, message in batches for ring in contents(message)["rings"]] == [
        str(pk) for pk in range(300)
    ]
    for _, message in batches:
        assert len(json.dumps(message)) < 2 * doorbell.COMMON_BATCH_BYTES


def test_a_last_batch_that_is_full_is_followed_by_no_empty_one(monkeypatch):
    monkeypatch.setattr(doorbell, "COMMON_RING_FROM", 2)
    monkeypatch.setattr(doorbell, "COMMON_BATCH_BYTES", 0)
    rung = [(str(pk), document(5, 6)) for pk in range(3)]
    assert [len(contents(message)["rings"]) for _, message in messages(rung)] == [1, 1, 1]


@pytest.mark.django_db(transaction=True)
def test_sending_to_many_from_a_worker_is_one_hop(make_user, layer, hops):
    users = [make_user(f"user{n}") for n in range(60)]
    notify.send_many(users, "Hello")
    assert hops == [1]
    assert set(sent_by(layer)) == {doorbell.common_group()}


def test_kick_tells_every_process(hub, layer):
    """A kick is for one session, or for all sessions of a user."""
    doorbell.kick(7, "fingerprint")
    doorbell.kick(7)
    assert hub.kicked == [("7", "fingerprint"), ("7", None)]
    assert sent_by(layer) == [group_of("7")] * 2


def test_a_kick_that_was_dropped_is_told(hub, layer, failures, monkeypatch):
    """The recheck of the other processes finds deactivated users."""
    monkeypatch.setattr(background, "MAX_PENDING", 0)
    doorbell.kick(7)
    assert hub.kicked == [("7", None)]
    assert "kick was dropped" in str(failures[0])
    gc.collect()  # no coroutine may be left without being awaited


def test_ticks_reach_every_process(hub, layer):
    doorbell.tick([("7", "{}")])
    assert hub.ticked == [("7", "{}")]
    assert sent_by(layer) == [group_of("7")]


def test_without_a_layer_ticks_reach_the_hubs_of_this_process(hub, hops, settings):
    settings.CHANNEL_LAYERS = {}
    doorbell.tick([("7", "{}")])
    assert hub.ticked == [("7", "{}")]
    assert hops == []


def test_a_hub_or_a_layer_can_take_rings(hub, settings):
    """If neither exists, ticks need not be made at all."""
    settings.CHANNEL_LAYERS = {}
    assert doorbell.has_listeners()
    doorbell.hubs.discard(hub)
    assert not doorbell.has_listeners()
    settings.CHANNEL_LAYERS = FAKE_LAYER
    assert doorbell.has_listeners()


def test_of_the_ticks_that_wait_only_the_newest_of_each_user_is_sent(layer):
    """A tick replaces the one before it, so a layer that is slow must not be sent both."""
    gate = threading.Event()
    sent = []

    async def slow_send(group, message):
        sent.append((group, contents(message)["ticks"]))
        while not gate.is_set():
            await asyncio.sleep(0.001)

    layer.group_send = slow_send
    doorbell.tick([("7", "1")])
    asyncio.run(until(lambda: sent))
    for number in range(2, 5):
        doorbell.tick([("7", str(number)), ("8", str(number))])
    gate.set()
    assert background.flush(PATIENCE)
    assert sent == [
        (group_of("7"), [["7", "1"]]),
        (group_of("7"), [["7", "4"]]),
        (group_of("8"), [["8", "4"]]),
    ]


@pytest.mark.parametrize(
    ("since", "cursor", "nothing"),
    [(at(5), at(5), True), (at(5), at(6), False), (None, None, False)],
)
def test_a_page_tells_nothing_if_its_reader_is_at_its_end(since, cursor, nothing):
    """To a reader without a cursor, even an empty mailbox is news."""
    assert Page(since, cursor, 6, Counts(0, 0), []).tells_nothing is nothing


# -- Nothing raises ------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["raise", "hang"])
def test_a_layer_out_of_order_raises_nothing_and_is_told(layer, hub, failures, fault, monkeypatch):
    """The caller continues at once, and the hub of this process receives the document."""
    monkeypatch.setattr(doorbell, "RING_TIMEOUT", 0.05)
    layer.fault = fault
    doorbell.ring([ring_for(pk) for pk in range(5)])
    doorbell.kick(7, "fingerprint")
    assert len(hub.rung) == 5
    assert background.flush(PATIENCE)
    assert len(failures) == 2  # one for each hop, not one for each recipient


def test_a_layer_whose_send_is_no_coroutine_raises_nothing(layer, failures):
    layer.group_send = lambda group, message: 1 / 0
    doorbell.ring([ring_for(7)])
    assert background.flush(PATIENCE)
    assert [type(error) for error in failures] == [ZeroDivisionError]


def test_what_waits_for_a_layer_that_is_no_longer_configured_is_dropped(layer, settings, failures):
    """For example by a test that ends, and takes its settings with it."""
    gate = threading.Event()
    sent = []

    async def slow_send(group, message):
        sent.append(group)
        while not gate.is_set():
            await asyncio.sleep(0.001)

    layer.group_send = slow_send
    doorbell.ring([ring_for(7)])
    asyncio.run(until(lambda: sent))
    doorbell.ring([ring_for(8)])
    settings.CHANNEL_LAYERS = {}
    gate.set()
    assert background.flush(PATIENCE)
    assert sent == [group_of("7")]
    assert failures == []


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
    monkeypatch.setattr(background, "MAX_WAITING", -1)
    doorbell.ring([ring_for(7)])
    assert "waiting for the channel layer" in str(failures[0])
    gc.collect()  # no coroutine may be left without being awaited


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", ["raise", "hang"])
def test_a_layer_out_of_order_raises_nothing_into_send(user, layer, fault, monkeypatch):
    monkeypatch.setattr(doorbell, "RING_TIMEOUT", 0.05)
    layer.fault = fault
    sent = in_thread(lambda: [notify.send(user, "Hello") for _ in range(3)])
    assert [row.position is not None for row in sent] == [True] * 3
    assert background.flush(PATIENCE)


def test_under_greenlets_no_event_loop_is_touched(layer, hub, hops, monkeypatch):
    """The sweep of the other processes delivers."""
    gevent = types.ModuleType("gevent.monkey")
    gevent.is_module_patched = lambda name: True
    monkeypatch.setitem(sys.modules, "gevent.monkey", gevent)
    doorbell.ring([ring_for(7)])
    doorbell.kick(7, "fingerprint")
    assert len(hub.rung) == len(hub.kicked) == 1
    assert hops == []
