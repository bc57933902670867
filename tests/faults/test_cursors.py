"""Cursors that the mailbox never had cause a reset or 400, but never reveal other rows or hang."""

from __future__ import annotations

import json
from contextlib import suppress
from urllib.parse import quote

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from notify.protocol import CloseCode, Cursor, new_epoch
from tests.faults.world import pubsub
from tests.kit.patience import PATIENCE

MINE = ["one", "two", "three"]


@pytest.fixture
async def place(make_world, redis_server):
    """Alice and Bob have a mailbox each. Alice's begins above its floor."""
    world = await make_world(layer=pubsub(redis_server.url), NOTIFY_SWEEP_INTERVAL=3600)
    await world.start_web()
    alice, bob = await world.make_users(2)
    sender = await world.start_sender()
    for number in range(20):
        await sender.send(bob, f"Bob's {number}")
    for text in ["pruned", *MINE]:
        await sender.send(alice, text)
    prune = [
        f"DELETE FROM notify_notification WHERE recipient_id = {alice.pk} AND position = 1",
        f"UPDATE notify_mailbox SET floor = 1, unseen = 3, unread = 3 WHERE user_id = {alice.pk}",
    ]
    for statement in prune:
        await world.clerk.call("execute", statement=statement)
    truth = await world.clerk.call("mailboxes", users=[alice.pk, bob.pk])
    return world, sender, alice, truth[str(alice.pk)]["cursor"], truth[str(bob.pk)]["cursor"]


def bad_cursors(mine: str, bobs: str) -> dict[str, str]:
    epoch, _, head = mine.partition(":")
    return {
        "older than the floor": f"{epoch}:0",
        "of another user": bobs,
        "of another user, at a position of mine": f"{bobs.partition(':')[0]}:{head}",
        "of another epoch": f"{new_epoch()}:2",
        "of the first epoch": f"{'0' * 17}:2",
        "of the last epoch": f"{'v' * 17}:2",
        "beyond the head": f"{epoch}:5000",
        "huge": f"{epoch}:{2**53 - 1}",
        "too huge": f"{epoch}:{2**53}",
        "of 400 digits": f"{epoch}:{'9' * 400}",
        "negative": f"{epoch}:-1",
        "a fraction": f"{epoch}:1.5",
        "with a zero before": f"{epoch}:02",
        "in other digits": f"{epoch}:٣",
        "in capitals": mine.upper(),
        "with a line break": f"{mine}\n",
        "with a NUL": f"{mine}\0",
        "no position": epoch,
        "no epoch": ":3",
        "SQL": f"{epoch}:2 OR 1=1",
        "garbage": "garbage",
        "a lone surrogate": "\\ud800",
        "long": "x" * 4000,
        "null": "null",
    }


def is_cursor(text: str) -> bool:
    try:
        Cursor.parse(text)
    except Exception:
        return False
    return True


async def test_polls_with_bad_cursors(place):
    """An invalid cursor gets 400, and any other a reset with the user's own rows."""
    world, _, alice, mine, bobs = place
    url = world.webs[0].url
    async with httpx.AsyncClient(
        base_url=url, cookies=alice.cookies, timeout=PATIENCE, trust_env=False
    ) as client:
        for name, cursor in bad_cursors(mine, bobs).items():
            answer = await client.get(f"/notify/changes/?since={quote(cursor)}")
            if not is_cursor(cursor):
                assert answer.status_code == 400, name
                assert answer.json()["code"] == "bad_cursor", name
                continue
            assert answer.status_code == 200, name
            document = answer.json()
            assert document["reset"] is True, name
            assert [row["message"] for row in document["notifications"]] == MINE, name
            assert document["counts"] == {"unseen": 3, "unread": 3}, name


async def test_tabs_that_open_with_bad_cursors(place):
    """Each tab starts over with the user's own rows, and receives the following changes."""
    world, sender, alice, mine, bobs = place
    for number, (name, cursor) in enumerate(bad_cursors(mine, bobs).items()):
        tab = world.client(alice, since=cursor)
        tab.start()
        await tab.opened()
        assert tab.shown[:3] == MINE, name
        assert tab.resets == 1, name
        await sender.send(alice, f"after {number}")
        await tab.until(lambda tab=tab, text=f"after {number}": tab.shown[-1] == text, name)
        assert (tab.opens, tab.closes) == (1, []), name
        await tab.close()


async def test_questions_of_an_open_tab_with_bad_cursors(place):
    """Each question gets an error, the user's own rows, or a close with a reconnect code, and never hangs."""
    world, sender, alice, mine, bobs = place
    cookies = "; ".join(f"{name}={value}" for name, value in alice.cookies.items())
    for number, (name, cursor) in enumerate(bad_cursors(mine, bobs).items()):
        async with connect(
            f"ws://{world.webs[0].address}/notify/ws/?since={mine}",
            origin=world.webs[0].url,
            additional_headers={"Cookie": cookies},
            proxy=None,
            open_timeout=PATIENCE,
        ) as socket:
            known = json.loads(await socket.recv())["changes"]["cursor"]
            await socket.send(json.dumps({"type": "changes", "since": cursor, "ref": 5}))
            await sender.send(alice, f"after {number}")
            texts: list[str] = []
            with suppress(ConnectionClosed):
                while f"after {number}" not in texts:
                    frame = json.loads(await socket.recv())
                    if frame["type"] == "changes":
                        texts += [row["message"] for row in frame["notifications"]]
                    else:
                        assert not is_cursor(cursor), name
                        assert (frame["type"], frame["code"]) == ("error", "bad_cursor"), name
                        assert frame["ref"] == 5
            if f"after {number}" not in texts:
                # The cursor is at a place where this mailbox has never been, and only a welcome may
                # lower it.
                assert socket.close_code == CloseCode.GOING_AWAY, name
                assert Cursor.parse(cursor) > Cursor.parse(known), name
            assert not [text for text in texts if text.startswith("Bob")], name


async def test_marks_up_to_bad_cursors(place):
    """They mark no row that was not shown, and no row of other users."""
    world, _, alice, mine, bobs = place
    tab = await world.open(alice)
    epoch = Cursor.parse(mine).epoch
    for name, cursor in bad_cursors(mine, bobs).items():
        if name in ("beyond the head", "huge"):
            continue  # a cursor of this epoch means that everything was shown
        answer = await tab.command("read_all", cursor=cursor, ids=[])
        of_this_epoch = is_cursor(cursor) and Cursor.parse(cursor).epoch == epoch
        assert answer["type"] == ("ack" if of_this_epoch else "error"), name
        assert answer.get("code") in (None, "stale", "bad_cursor"), name
    users = [user.pk for user in world.users]
    for box in (await world.clerk.call("mailboxes", users=users)).values():
        assert box["counts"] == box["counted"] == [len(box["texts"])] * 2
