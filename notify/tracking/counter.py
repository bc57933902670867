"""
Counts how much of a task is done: in units, and in steps that are each worth a number of units.

All calls only change values in memory, which the writer reads a few times a second.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Self, TypeVar

T = TypeVar("T")


def number(value: Any) -> float | None:
    """Returns a count, such as a NumPy number, as a JSON number; None if it is not a finite number."""
    try:
        found = value if type(value) in (int, float) else float(value)
        if not isfinite(found):
            return None
    except (TypeError, ValueError, ArithmeticError):
        return None
    return int(found) if found == int(found) else found


@dataclass(slots=True, kw_only=True, eq=False)  # equal amounts must stay distinct in ``steps``
class Amount:
    """
    How much of a task or step is done, and out of how much.

    Attributes:
        done, total: in units of the task; ``total`` is None while unknown.
        weight: for a step: the number of units of its parent that it is worth.
        steps: the steps under way.
        has_steps: it has had a step; a task is then shown as a share of 1 instead of in units.
    """

    done: float = 0
    total: float | None = None
    weight: float = 0
    steps: list[Amount] = field(default_factory=list)
    has_steps: bool = False

    @property
    def reached(self) -> float:
        """The amount done, including the steps under way."""
        steps = sum((number(step.weight) or 0) * step.share for step in tuple(self.steps))
        return (number(self.done) or 0) + steps

    @property
    def share(self) -> float:
        """The share that is done, from 0 to 1; 0 while the total is unknown."""
        total = number(self.total)
        return max(0.0, min(1.0, self.reached / total)) if total else 0.0


class StepCounter:
    """The methods by which a task or step reports its progress. Safe to call from any thread."""

    __slots__ = ("_count", "_lock")

    def __init__(self, count: Amount) -> None:
        self._count = count
        self._lock = threading.RLock()  # a signal handler may count while its thread holds it

    def __copy__(self) -> Self:
        return self  # a copy would share the count, and could be used after the task has ended

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
        """Add ``n`` to ``done``. Takes well under a microsecond, so call it for each row."""
        with self._lock:
            self._count.done += n

    def update(
        self, *, done: float | None = None, total: float | None = None, message: Any = None
    ) -> None:
        """
        Set the progress.

        Args:
            done, total: in your own units; by default unchanged.
            message: the current activity, at most 2,000 characters.
        """
        with self._lock:
            if done is not None:
                self._count.done = done
            if total is not None:
                self._count.total = total
        if message is not None:
            self.say(message)

    def track(self, things: Iterable[T]) -> Iterator[T]:
        """Iterate over ``things``, counting each as done. Raises ``Cancelled`` if the user has cancelled."""
        for thing in things:
            self.check()
            yield thing
            self.advance()

    async def atrack(self, things: AsyncIterable[T]) -> AsyncIterator[T]:
        """Like :meth:`track`, for ``async for``, for example over a queryset."""
        async for thing in things:
            self.check()
            yield thing
            self.advance()

    def step(self, name: Any = "", *, weight: float = 1, total: float | None = None) -> Step:
        """
        Returns a step, which counts separately. Steps may run at the same time in several threads.

            with notify.progress(user, "Importing", total=4) as p:
                with p.step("Reading", total=len(pages)) as reading:
                    for page in reading.track(pages):
                        read(page)
                with p.step("Storing", weight=3, total=1200) as storing:
                    store(storing)

        Args:
            name: shown as the message when the step begins.
            weight: the number of units of the task, or of the outer step, that it is worth.
            total: the amount to do in this step, in its own units.
        """
        return Step(self, Amount(total=total, weight=weight), name)

    def check(self) -> None:
        """
        Raise ``Cancelled`` if the user has asked to cancel the task.

        Do not catch the exception: when it leaves the block, the task ends as cancelled.
        """
        raise NotImplementedError

    def say(self, message: Any) -> None:
        """Show a message about the current activity."""
        raise NotImplementedError

    def begin_step(self, count: Amount) -> None:
        with self._lock:
            self._count.has_steps = True
            self._count.steps.append(count)

    def end_step(self, count: Amount, *, is_done: bool) -> None:
        with self._lock:
            self._count.steps.remove(count)
            self._count.done += count.weight if is_done else 0


class Step(StepCounter):
    """A part of a task; created by :meth:`Progress.step`."""

    __slots__ = ("_name", "_parent")

    def __init__(self, parent: StepCounter, count: Amount, name: Any) -> None:
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
