"""A database restored from an old backup, or without mailboxes: clients start over, once."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from tests.faults import deeds
from tests.faults.clients import TRANSPORTS, until
from tests.faults.world import aside, pubsub

SWEEP = 0.3  # seconds
TABLES = ("notify_mailbox", "notify_notification")


class Backup:
    """A backup of the two tables, made with the database's own tools, and restored while all is running."""

    def __init__(self, world):
        self.world = world
        self.file = world.folder / "backup.sqlite3"
        self.is_sqlite = world.database["ENGINE"].endswith("sqlite3")

    async def take(self):
        if self.is_sqlite:
            await aside(self._copy, self.world.database["NAME"], self.file)
            return
        for table in TABLES:
            await self._execute(f"CREATE TABLE old_{table} AS SELECT * FROM {table}")

    async def restore(self):
        self.world.note("the backup is restored")
        if self.is_sqlite:
            await aside(self._copy, self.file, self.world.database["NAME"])
            return
        await self.world.clerk.call("begin")
        for table in TABLES:
            await self._execute(f"DELETE FROM {table}")
            await self._execute(f"INSERT INTO {table} SELECT * FROM old_{table}")
        # Ids are assigned again too, as after a real restore.
        last = "(SELECT max(id) FROM notify_notification)"
        sequence = "pg_get_serial_sequence('notify_notification', 'id')"
        await self._execute(f"SELECT setval({sequence}, {last})")
        await self.world.clerk.call("commit")

    async def _execute(self, statement):
        await self.world.clerk.call("execute", statement=statement)

    @staticmethod
    def _copy(source, target):
        with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
            one.backup(other)


class People:
    """A user's tabs, with each transport, at two web processes, and a sender."""

    async def come(self, world):
        self.world = world
        webs = await world.start_webs("uvicorn", "daphne")
        self.user = await world.user()
        await world.clerk.call(f"{deeds.__name__}:age", user=self.user.pk)
        self.tabs = [
            await world.open(self.user, transport, at=web)
            for web in webs
            for transport in TRANSPORTS
        ]
        self.sender = await world.start_sender()

    async def send(self, *texts):
        for text in texts:
            await self.sender.send(self.user, text)

    async def show(self, *texts):
        """Wait until this is the last text in every tab."""
        for tab in self.tabs:
            await tab.until(lambda tab=tab: tab.shown[-len(texts) :] == list(texts), f"{texts}")

    async def hold_the_rows(self):
        """Wait until every tab holds exactly the rows of the database."""
        truth = (await self.world.clerk.call("mailboxes", users=[self.user.pk]))[str(self.user.pk)]
        assert truth["waiting"] == []
        assert truth["counts"] == truth["counted"]
        for tab in self.tabs:
            await tab.until(
                lambda tab=tab: (
                    [row["message"] for row in sorted_rows(tab)] == truth["texts"]
                    and str(tab.cursor) == truth["cursor"]
                    and list(tab.counts.values()) == truth["counts"]
                ),
                f"holding {truth}",
            )

    async def stay_calm(self):
        """Check that no tab has started over again after a few more sweeps and polls."""
        before = [(tab.resets, tab.epochs[-1]) for tab in self.tabs]
        # There is no state to wait for, because nothing should happen.
        await asyncio.sleep(3 * SWEEP)
        assert [(tab.resets, tab.epochs[-1]) for tab in self.tabs] == before
        for tab in self.tabs:
            # They never return to an earlier epoch. There are at most two new ones: the one that a
            # reader proved, and the command's.
            assert tab.epochs == sorted(set(tab.epochs)), tab.story()
            assert len(tab.epochs) <= 3, tab.story()


def sorted_rows(tab):
    return sorted(tab.rows.values(), key=lambda row: row["arrived"])


@pytest.fixture
def database():
    """A test may choose another database."""
    return "sqlite"


on_both = pytest.mark.parametrize("database", ["sqlite", "postgresql"])


@pytest.fixture
async def people(make_world, redis_server, database):
    people = People()
    layer = pubsub(redis_server.url)
    await people.come(await make_world(database, layer=layer, NOTIFY_SWEEP_INTERVAL=SWEEP))
    return people


async def start_over(people):
    await people.world.clerk.call("manage", args=["notify_check", "--new-epoch"])


async def lose_two(people):
    """All tabs show four notifications, of which the restored database has two."""
    backup = Backup(people.world)
    await people.send("one", "two")
    await people.show("one", "two")
    await backup.take()
    await people.send("lost", "lost too")
    await people.show("lost", "lost too")
    await backup.restore()


@on_both
async def test_a_restored_backup_with_the_command_run_after_it(people):
    """Positions and ids are assigned a second time, even beyond those that the tabs know."""
    await lose_two(people)
    await start_over(people)
    await people.send("new", "new too", "newer")
    await people.hold_the_rows()
    for tab in people.tabs:
        held = [row["message"] for row in sorted_rows(tab)]
        assert held == ["one", "two", "new", "new too", "newer"]
        assert tab.shown == ["one", "two", "lost", "lost too", "new", "new too", "newer"]
    await people.stay_calm()
    await people.send("and on")
    await people.show("newer", "and on")


async def test_a_restored_backup_with_the_command_run_late(people):
    """Notifications sent before it stand beside the lost ones. Each is shown once all the same."""
    await lose_two(people)
    await people.send("new", "new too", "newer", "newest")
    await start_over(people)
    await people.send("last")
    await people.hold_the_rows()
    for tab in people.tabs:
        assert sorted(tab.shown) == sorted(
            ["one", "two", "lost", "lost too", "new", "new too", "newer", "newest", "last"]
        )
    await people.stay_calm()


async def test_a_restored_backup_is_proven_by_a_tab_that_knows_more(people):
    """If the command was forgotten and nothing was sent yet, the first sweep or poll detects it."""
    await lose_two(people)
    await until(lambda: all(len(tab.epochs) > 1 for tab in people.tabs), "everybody started over")
    await people.send("new")
    await people.show("lost too", "new")
    await people.hold_the_rows()
    await people.stay_calm()


@pytest.mark.parametrize("has_rows", [True, False], ids=["rows", "no rows"])
async def test_the_mailbox_table_is_emptied(people, has_rows):
    if has_rows:
        await people.send("one", "two")
        await people.show("one", "two")
    people.world.note("the mailboxes are deleted")
    await people.world.clerk.call("execute", statement="DELETE FROM notify_mailbox")
    await until(lambda: all(len(tab.epochs) > 1 for tab in people.tabs), "everybody started over")
    await people.send("three")
    await people.show("three")
    await people.hold_the_rows()
    await people.stay_calm()
    for tab in people.tabs:
        assert tab.shown == ["one", "two", "three"][-len(tab.shown) :], tab.story()
        assert len(tab.shown) == (3 if has_rows else 1)


@on_both
async def test_everything_is_deleted(people):
    await people.send("one", "two")
    await people.show("one", "two")
    people.world.note("all is deleted")
    clerk = people.world.clerk
    await clerk.call("begin")
    for table in TABLES:
        await clerk.call("execute", statement=f"DELETE FROM {table}")
    await clerk.call("commit")
    await people.send("three")
    await people.show("three")
    await people.hold_the_rows()
    await people.stay_calm()
