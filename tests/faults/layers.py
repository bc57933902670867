"""A channel layer that loses, duplicates and reorders rings, as bad networks and full queues do."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer

from tests.faults.world import pubsub


def unreliable(
    url: str, *, drop: float = 0.0, double: float = 0.0, delay: float = 0.0, seed: int = 1
) -> dict[str, Any]:
    """
    An entry of CHANNEL_LAYERS.

    Args:
        drop, double: the share of rings that are lost, and of those that are sent twice.
        delay: the seconds by which a ring may be late, so that later ones overtake it.
    """
    config = pubsub(url)["CONFIG"]
    chances = {"drop": drop, "double": double, "delay": delay, "seed": seed}
    return {"BACKEND": "tests.faults.layers.Unreliable", "CONFIG": config | chances}


class Unreliable:
    """
    The pubsub layer with unreliable rings. The canary comes back, so the hubs get no warning.

    It is not a subclass, because the pubsub layer takes its methods from a layer for each event
    loop.
    """

    def __init__(self, drop: float, double: float, delay: float, seed: int, **config: Any) -> None:
        self.inner: Any = RedisPubSubChannelLayer(**config)
        self.drop, self.double, self.delay = drop, double, delay
        self.random = random.Random(seed)
        self.late: set[asyncio.Task[None]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if message["type"] != "notify.ring":
            await self.inner.group_send(group, message)
            return
        if self.random.random() < self.drop:
            return
        for _ in range(1 + (self.random.random() < self.double)):
            await self._send_late(group, message)

    async def _send_late(self, group: str, message: dict[str, Any]) -> None:
        if not self.delay:
            await self.inner.group_send(group, message)
            return
        late = asyncio.create_task(self._wait_and_send(group, message))
        self.late.add(late)
        late.add_done_callback(self.late.discard)

    async def _wait_and_send(self, group: str, message: dict[str, Any]) -> None:
        await asyncio.sleep(self.random.uniform(0, self.delay))
        await self.inner.group_send(group, message)
