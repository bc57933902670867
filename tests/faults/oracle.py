"""
The oracle: in the end, each client must have shown each committed notification of its user exactly
once, in order, and nothing else. The mailboxes must be consistent.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tests.faults.clients import Client
from tests.kit.patience import PATIENCE

if TYPE_CHECKING:
    from tests.faults.world import World


class Oracle:
    """
    Reads the true state from the database, and compares it with what the clients have shown.

    Args:
        world: the world whose clerk reads the database, and whose senders report what they committed.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    async def check(
        self,
        clients: Iterable[Client] | None = None,
        *,
        within: float = PATIENCE,
        in_order: bool = True,
    ) -> dict[str, Any]:
        """
        Wait until everything is published and shown. Fails with the history of the first wrong
        client.

        Args:
            clients: by default, all clients of the world.
            in_order: False if tabs mark while another one catches up by more than a page: a mark
                moves a row behind others, so that they are shown before it.

        Returns the mailboxes by the primary key of their user, as text.
        """
        watched = list(self.world.clients if clients is None else clients)
        users = list({client.user.pk for client in watched} | self.world.recipients())
        deadline = time.monotonic() + within
        while True:
            truth: dict[str, Any] = await self.world.clerk.call("mailboxes", users=users)
            wrong = [
                problem for client in watched if (problem := _compare(client, truth, in_order))
            ]
            wrong += [
                f"{user}: still in the outbox: {box['waiting'][:5]}"
                for user, box in truth.items()
                if box["waiting"]
            ]
            if not wrong:
                break
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{len(wrong)} things are wrong after {within:g} s; the first:\n"
                    f"{wrong[0]}\n{self.world.story()}"
                )
            await asyncio.sleep(0.1)
        self._check_rows(truth)
        return truth

    def _check_rows(self, truth: dict[str, Any]) -> None:
        """Check the invariants of the mailboxes, and that no sender reported a commit that failed."""
        for user, box in truth.items():
            where = f"The mailbox of {user}: {box}"[:2000]
            assert len(set(box["positions"])) == len(box["positions"]), where
            if box["cursor"] is not None:
                assert max(box["positions"], default=0) <= box["head"], where
                assert box["counts"] == box["counted"], where
            else:
                assert not box["positions"], where
        for user, text in self.world.committed():
            assert text in truth[str(user)]["texts"], (
                f"{text!r} was committed for {user} according to its sender, but is not in the database."
                f"\n{self.world.story()}"
            )


def _compare(client: Client, truth: dict[str, Any], in_order: bool) -> str:
    """Returns what is wrong with the client's contents, or an empty text."""
    texts = truth[str(client.user.pk)]["texts"]
    if client.shown == texts or (not in_order and sorted(client.shown) == sorted(texts)):
        box = truth[str(client.user.pk)]
        if str(client.cursor or None) != str(box["cursor"]):
            return f"Its cursor is not {box['cursor']}.\n{client.story()}"
        if list(client.counts.values()) != (box["counts"] or [0, 0]):
            return f"Its counts {client.counts} are not {box['counts']}.\n{client.story()}"
        return ""
    shown, wanted = Counter(client.shown), Counter(texts)
    missing = [text for text in texts if text not in shown]
    invented = [text for text in client.shown if text not in wanted]
    doubled = [text for text, times in shown.items() if times > wanted.get(text, 1)]
    first = next(
        (n for n, pair in enumerate(zip(client.shown, texts, strict=False)) if pair[0] != pair[1]),
        "the end",
    )
    return (
        f"{len(texts)} are committed. {len(missing)} are not shown: {missing[:5]};"
        f" {len(invented)} are invented: {invented[:5]}; {len(doubled)} are doubled: {doubled[:5]};"
        f" the order differs from {first} on.\n{client.story()}"
    )
