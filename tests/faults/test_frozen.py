"""A process is frozen in the middle of a publish, so it holds the lock of a mailbox, or of all of SQLite."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from notify.mailbox import locks
from tests.faults import at_most, deeds
from tests.faults.clients import until
from tests.faults.world import pubsub

SWEEP = 0.5  # seconds
LOCKED = "notify.mailbox.batch:PublishBatch.write"  # called while the mailbox is locked


async def freeze(world, user, text):
    """A sender that is frozen while it publishes. Returns it and the pending answer."""
    sender = await world.start_sender()
    await sender.call("freeze_at", function=LOCKED)
    await sender.call("begin")
    await sender.send(user, text)
    committing = sender.start_call("commit")
    await until(lambda: is_frozen(sender.pid), "frozen")
    world.note("a sender is frozen")
    return sender, committing


def is_frozen(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "T"


def go_on(sender) -> None:
    os.kill(sender.pid, signal.SIGCONT)


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
async def test_a_send_waits_three_seconds_and_is_shown_later(make_world, redis_server, database):
    """Other users wait for nothing: neither their sends, nor their tabs, nor the sweep."""
    world = await make_world(database, layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=SWEEP)
    await world.start_web()
    alice, bob = await world.make_users(2)
    tab, other_tab = await world.open(alice), await world.open(bob)
    frozen, committing = await freeze(world, alice, "one")
    sender = await world.start_sender()
    await sender.call(f"{deeds.__name__}:note_failed_publishes")
    sent = await sender.send(alice, "two")
    assert sent["position"] is None
    assert sender.took < at_most(locks.WAIT + 1)
    assert await sender.call(f"{deeds.__name__}:count_failed_publishes") == 1  # it waits once
    both = [alice.pk, bob.pk]
    await sender.call("send_many", to=both, message="three")
    await other_tab.shows("three")
    assert not committing.done()
    if database == "mariadb":  # PostgreSQL itself ends the session that holds the lock
        go_on(frozen)
    # In the order of their publishes: a send that finds the lock free does not wait for the sweep.
    await tab.until(lambda: sorted(tab.shown) == ["one", "three", "two"], "all are shown")
    go_on(frozen)
    assert (await committing)["error"] is None
    await world.oracle.check()


async def test_on_sqlite_every_writer_fails_after_its_timeout(make_world, redis_server):
    """As documented. Nothing is stored, and the caller knows."""
    world = await make_world(layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=SWEEP)
    world.database["OPTIONS"]["timeout"] = 1
    await world.start_web()
    user = await world.user()
    tab = await world.open(user)
    frozen, committing = await freeze(world, user, "one")
    sender = await world.start_sender()
    said = await sender.ask("send", to=user.pk, message="never")
    assert said["error"] == "django.db.utils.OperationalError: database is locked"
    assert sender.took < at_most(2)
    go_on(frozen)
    assert (await committing)["error"] is None
    await sender.send(user, "two")
    await tab.shows("one", "two")
    await world.oracle.check()
