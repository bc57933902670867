"""
Limits on the connections of a process and of a user, and on the commands that a client may send.

The module reads no clock; the caller passes the time in.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from notify.runtime.process import PerProcess

# Bounds on the queue of a slow connection, and hence on the memory it may use. Beyond either bound the queue
# is emptied and the connection is served from the rows, which costs a query and loses nothing.
QUEUE_MAX_FRAMES = 256
QUEUE_MAX_CHARACTERS = 1024 * 1024
# Characters that may be written to a connection before it answers a ping. Some servers (daphne) buffer
# without bound, so only the pong shows how much the client has read.
UNANSWERED_MAX_CHARACTERS = 512 * 1024
# Seconds that a ping may remain unanswered, or an HTTP response unread: more than two heartbeats, so that
# a brief network stall does not close a connection.
STALL_TIMEOUT = 60.0
# Commands of one connection: per second in the long run, and in one burst. A person stays far below the
# rate. The burst is twice the number of unanswered commands that the script resends after a reconnect.
COMMAND_RATE = 20.0
COMMAND_BURST = 200
# Characters of a command that count as one command, because a large command costs as much as many small ones.
COMMAND_UNIT = 1024
# Seconds after which a stream ends and its client reconnects at its cursor. This bounds the life of a
# stream whose client left unnoticed, and how long a server (uvicorn) may wait for open responses.
STREAM_MAX_AGE = 1800.0

EVERYBODY = object()  # counts every connection of the process, even before sign-in


class Tally:
    """Counts the current uses of each thing, up to a limit. Safe to use from any thread."""

    def __init__(self) -> None:
        self._counts: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def __getitem__(self, thing: Hashable) -> int:
        return self._counts.get(thing, 0)

    @contextmanager
    def one_more(self, thing: Hashable, most: int) -> Iterator[bool]:
        """Count one more while the block runs. At the limit, yields False and counts nothing."""
        with self._lock:
            is_free = self[thing] < most
            if is_free:
                self._counts[thing] = self[thing] + 1
        try:
            yield is_free
        finally:
            if is_free:
                with self._lock:
                    self._counts[thing] -= 1
                    if not self._counts[thing]:
                        del self._counts[thing]


class Bucket:
    """
    A token bucket: allows ``burst`` at once, and ``rate`` per second in the long run.

        >>> bucket = Bucket(rate=1.0, burst=2, now=0.0)
        >>> [bucket.take(0.0), bucket.take(0.0), bucket.take(0.0), bucket.take(1.0)]
        [True, True, False, True]

    Attributes:
        refused: the number of refusals since the bucket was last full.
    """

    __slots__ = ("_at", "_burst", "_left", "_rate", "refused")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.refused = 0
        self._rate = rate
        self._burst = burst
        self._left = float(burst)
        self._at = now

    def take(self, now: float, units: int = 1) -> bool:
        """Returns whether that many more may pass at ``now``, in seconds of a monotonic clock."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left == self._burst:
            self.refused = 0
        if self._left < units:
            self.refused += units
            return False
        self._left -= units
        return True

    def is_full(self, now: float) -> bool:
        """Returns whether a whole burst may pass at ``now``."""
        return self._left + (now - self._at) * self._rate >= self._burst


def units_of(text: str | bytes) -> int:
    """
    Returns the number of commands as which one command counts.

        >>> units_of("x" * 1024), units_of("x" * 1025)
        (1, 2)
    """
    return max(1, -(-len(text) // COMMAND_UNIT))


class Buckets:
    """
    A bucket for each user. Safe to use from any thread.

    A full bucket is as good as none, so full buckets are dropped when there are many.
    """

    MANY = 10_000

    def __init__(self) -> None:
        self._buckets: dict[Hashable, Bucket] = {}
        self._lock = threading.Lock()

    def take(self, user_id: Hashable, now: float, units: int = 1) -> bool:
        """Returns whether that many more commands of this user may pass at ``now``."""
        with self._lock:
            bucket = self._buckets.get(user_id)
            if bucket is None:
                if len(self._buckets) >= self.MANY:
                    self._drop_full(now)
                bucket = self._buckets[user_id] = Bucket(COMMAND_RATE, COMMAND_BURST, now)
            return bucket.take(now, units)

    def _drop_full(self, now: float) -> None:
        self._buckets = {
            user_id: bucket for user_id, bucket in self._buckets.items() if not bucket.is_full(now)
        }


connections = PerProcess(Tally)
posts = PerProcess(Buckets)
