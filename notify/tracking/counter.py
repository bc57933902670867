"""
How much of a task is done: in units of its own, and in steps that each are worth so many of them.

Only values in memory: whoever shows them looks at them from time to time.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Self, TypeVar

T = TypeVar("T")


def number(value: Any) -> float | None:
    """What a task counts with, such as a number of NumPy's, as JSON can say it; None where it is none."""
    try:
        found = value if type(value) in (int, float) else float(value)
        if not isfinite(found):
            return None
    except (TypeError, ValueError, ArithmeticError):
        return None
    return int(found) if found == int(found) else found


@dataclass(slots=True, kw_only=True, eq=False)  # of two alike each is another
class Count:
    """
    So much of so much.

    Attributes:
        done, total: in units of the task's own; no total, no end in sight.
        weight: of a step: how many units of the whole it is worth.
        steps: those under way.
    """

    done: float = 0
    total: float | None = None
    weight: float = 0
    steps: list[Count] = field(default_factory=list)

    @property
    def reached(self) -> float:
        """What is done, with what is done of the steps under way."""
        steps = sum((number(step.weight) or 0) * step.share for step in tuple(self.steps))
        return (number(self.done) or 0) + steps

    @property
    def share(self) -> float:
        """The part of the whole that is done, 0 to 1; 0 while nobody knows."""
        total = number(self.total)
        return max(0.0, min(1.0, self.reached / total)) if total else 0.0


class Counter:
    """What a task, or a step of one, says of how far it is. It may be used from any thread."""

    __slots__ = ("_count", "_lock")

    def __init__(self, count: Count) -> None:
        self._count = count
        self._lock = threading.RLock()  # a signal handler may speak while its thread holds it

    def __copy__(self) -> Self:
        return self  # a copy would speak of the same count, and outlive what ends it

    def __deepcopy__(self, memo: object) -> Self:
        return self

    @property
    def done(self) -> float:
        return self._count.done

    @property
    def total(self) -> float | None:
        return self._count.total

    @total.setter
    def total(self, total: float | None) -> None:
        self._count.total = total

    def advance(self, n: float = 1) -> None:
        """So much more is done. Costs well under a microsecond, so call it for each row."""
        with self._lock:
            self._count.done += n

    def update(
        self, *, done: float | None = None, total: float | None = None, message: Any = None
    ) -> None:
        """
        Say how far it is.

        Args:
            done, total: in units of your own; omitted, they stay.
            message: what is being done just now, at most 2,000 characters.
        """
        with self._lock:
            if done is not None:
                self._count.done = done
            if total is not None:
                self._count.total = total
        if message is not None:
            self.say(message)

    def track(self, things: Iterable[T]) -> Iterator[T]:
        """Go through things: each is one more that is done. It ends where the user cancels."""
        for thing in things:
            self.check()
            yield thing
            self.advance()

    async def atrack(self, things: AsyncIterable[T]) -> AsyncIterator[T]:
        """:meth:`track` for what is gone through by ``async for``, as a queryset may be."""
        async for thing in things:
            self.check()
            yield thing
            self.advance()

    def step(self, name: Any = "", *, weight: float = 1, total: float | None = None) -> Step:
        """
        A part that is counted by itself, also beside others in other threads.

            with notify.progress(user, "Importing", total=4) as p:
                with p.step("Reading", total=len(pages)) as reading:
                    for page in reading.track(pages):
                        read(page)
                with p.step("Storing", weight=3, total=1200) as storing:
                    store(storing)

        Args:
            name: shown from its beginning on.
            weight: how many units of what it is a part of it is worth.
            total: how much there is to do in it, in units of its own.
        """
        return Step(self, Count(total=total, weight=weight), name)

    def check(self) -> None:
        """
        Raises:
            Cancelled: the user has asked to end the task. Let it pass, and the task ends as cancelled.
        """
        raise NotImplementedError

    def say(self, message: Any) -> None:
        """What is being done just now."""
        raise NotImplementedError

    def begin_step(self, count: Count) -> None:
        with self._lock:
            self._count.steps.append(count)

    def end_step(self, count: Count, *, is_done: bool) -> None:
        with self._lock:
            self._count.steps.remove(count)
            self._count.done += count.weight if is_done else 0


class Step(Counter):
    """A part of a task; made by :meth:`Counter.step`."""

    __slots__ = ("_name", "_parent")

    def __init__(self, parent: Counter, count: Count, name: Any) -> None:
        super().__init__(count)
        self._parent = parent
        self._name = name

    def __enter__(self) -> Self:
        self._parent.begin_step(self._count)
        if self._name:
            self.say(self._name)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._parent.end_step(self._count, is_done=kind is None)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.__exit__(kind)

    def check(self) -> None:
        self._parent.check()

    def say(self, message: Any) -> None:
        self._parent.say(message)
