"""Transactions rolled back at each point: nothing is stored, shown or missed."""

from __future__ import annotations

import os
import signal

import pytest

from tests.faults.world import CallFailed, SenderDied


async def test_a_rollback_leaves_nothing_behind(make_world, database):
    """Rolled-back notifications never existed. Of those beside them, all committed ones are shown."""
    world = await make_world(database, NOTIFY_SWEEP_INTERVAL=0.2)
    await world.start_web()
    sender = await world.start_sender()
    for point in (
        after_a_send,
        after_many,
        after_a_key,
        of_a_savepoint,
        of_a_transaction_whose_savepoint_was_kept,
        of_the_second_of_two_savepoints,
        by_an_error_of_the_caller,
        by_death,
    ):
        user = await world.user(point.__name__)
        tab = await world.open(user)
        committed = await point(
            await world.start_sender() if point is by_death else sender, user.pk
        )
        await sender.send(user, "at last")
        await tab.shows(*committed, "at last")
    await world.oracle.check()


async def send(sender, user, *texts, **options):
    for text in texts:
        await sender.call("send", to=user, message=text, **options)


async def after_a_send(sender, user):
    await sender.call("begin")
    await send(sender, user, "never")
    await sender.call("roll_back")
    return []


async def after_many(sender, user):
    await sender.call("begin")
    await sender.call("send_many", to=[user], message="never")
    await send(sender, user, "never either")
    await sender.call("roll_back")
    return []


async def after_a_key(sender, user):
    """The row that would have been merged is rolled back, and the standing row is unchanged."""
    await send(sender, user, "kept", key="key")
    await sender.call("begin")
    await send(sender, user, "never", key="key")
    await sender.call("roll_back")
    return ["kept"]


async def of_a_savepoint(sender, user):
    await sender.call("begin")
    await sender.call("begin")
    await send(sender, user, "never")
    await sender.call("roll_back")
    await send(sender, user, "kept")
    await sender.call("commit")
    return ["kept"]


async def of_a_transaction_whose_savepoint_was_kept(sender, user):
    await sender.call("begin")
    await sender.call("begin")
    await send(sender, user, "never")
    await sender.call("commit")
    await sender.call("roll_back")
    return []


async def of_the_second_of_two_savepoints(sender, user):
    await sender.call("begin")
    await sender.call("begin")
    await send(sender, user, "kept")
    await sender.call("commit")
    await sender.call("begin")
    await send(sender, user, "never")
    await sender.call("roll_back")
    await sender.call("commit")
    return ["kept"]


async def by_an_error_of_the_caller(sender, user):
    """A statement fails in a savepoint, as get_or_create() and similar functions expect."""
    await sender.call("begin")
    await send(sender, user, "kept")
    await sender.call("begin")
    await send(sender, user, "never")
    with pytest.raises(CallFailed, match="Error"):
        await sender.call("execute", statement="SELECT * FROM no_such_table")
    await sender.call("roll_back")
    await sender.call("commit")
    return ["kept"]


async def by_death(sender, user):
    await sender.call("begin")
    await send(sender, user, "never")
    await sender.kill()
    return []


async def test_a_commit_that_fails_leaves_nothing_behind(make_world):
    """A deferred constraint fails in the COMMIT itself, after all earlier checks."""
    world = await make_world("postgresql", NOTIFY_SWEEP_INTERVAL=0.2)
    await world.start_web()
    user = await world.user()
    tab = await world.open(user)
    sender = await world.start_sender()
    table = "CREATE TABLE one (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)"
    await sender.call("execute", statement=table)
    await sender.call("begin")
    await sender.send(user, "never")
    await sender.call("execute", statement="INSERT INTO one VALUES (1), (1)")
    with pytest.raises(CallFailed, match=r"^django\.db\.utils\.IntegrityError"):
        await sender.call("commit")
    await sender.send(user, "at last")
    await tab.shows("at last")
    await world.oracle.check()


async def test_a_connection_cut_before_the_commit_leaves_nothing_behind(make_world):
    """The database ends the session. The commit raises Django's own error."""
    world = await make_world("postgresql", NOTIFY_SWEEP_INTERVAL=0.2)
    await world.start_web()
    user = await world.user()
    tab = await world.open(user)
    sender = await world.start_sender()
    await sender.call("begin")
    await sender.send(user, "never")
    [[pid]] = await sender.call("execute", statement="SELECT pg_backend_pid()")
    await world.clerk.call("execute", statement=f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(CallFailed, match=r"^django\.db\.utils\.OperationalError"):
        await sender.call("commit")
    await sender.send(user, "at last")
    await tab.shows("at last")
    await world.oracle.check()


async def test_a_rollback_in_the_middle_of_a_publish_is_tried_again(make_world):
    """The process dies while it publishes, with the mailbox locked: the rows are still in the outbox."""
    world = await make_world("postgresql", NOTIFY_SWEEP_INTERVAL=0.2)
    web = await world.start_web()
    user = await world.user()
    tab = await world.open(user)
    sender = await world.start_sender()
    await sender.call("die_at", function="notify.mailbox.batch:PublishBatch.write")
    os.kill(web.pid, signal.SIGSTOP)  # else its sweep might be faster than the sender
    await sender.call("begin")
    await sender.send(user, "one")
    await sender.send(user, "two")
    with pytest.raises(SenderDied):
        await sender.call("commit")
    os.kill(web.pid, signal.SIGCONT)
    await tab.shows("one", "two")
    await world.oracle.check()
