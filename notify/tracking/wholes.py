"""
Several jobs that are shown as one task, such as a group, a chain or a chord of Celery.

Each process reports the parts that it runs. ``TaskPart`` has one row for each finished part, whichever
process ran it, and the last part ends the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from notify.protocol import TaskState
from notify.tracking import writer
from notify.tracking.handle import Progress
from notify.tracking.run import TaskRun

MOST_WHOLES = 100  # remembered by a process, which may run the next part of any of them


class UnshownProgress(Progress):
    """The handle of a function that is not shown because its user no longer exists. Nothing is written."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(TaskRun(None, "unshown", adopts=True))

    def _become(self, state: TaskState, **values: Any) -> None:
        self._run.change(state=state, **values)


@dataclass(slots=True)
class Whole:
    """A task that consists of several jobs, and the number of them that this process is running."""

    run: TaskRun
    active: int = 0

    def count(self, job: str) -> None:
        """Count a finished part. It is written soon, as it may be the last, which ends the whole."""
        self.run.parts.add(job)
        writer.schedule(self.run)

    def leave(self) -> None:
        """End a part in this process. Without active parts, the writer stops watching the whole."""
        self.active -= 1
        self.run.is_left = self.active <= 0


class PartProgress(UnshownProgress):
    """
    The handle of a function that is shown only as a part.

    Cancelling affects the whole, and a failure of the part fails the whole.
    """

    __slots__ = ("_whole",)

    def __init__(self, whole: Whole) -> None:
        super().__init__()
        self._whole = whole

    @property
    def is_cancelled(self) -> bool:
        return self._whole.run.stored.cancel_asked

    def _become(self, state: TaskState, **values: Any) -> None:
        super()._become(state, **values)
        whole = Progress(self._whole.run)
        if state is TaskState.CANCELLED:
            whole.cancel(self._run.message)
        elif state is TaskState.FAILED:
            whole.fail(self._run.message, detail=self._run.detail)


_wholes: dict[str, Whole] = {}


def enter(name: str) -> Whole:
    """Begin a part of a whole in this process, and have the writer look for the whole's row."""
    whole = _wholes.get(name)
    if whole is None:
        whole = Whole(TaskRun(None, "", job=name, adopts=True, started_at=timezone.now()))
        while len(_wholes) >= MOST_WHOLES:
            _wholes.pop(next(iter(_wholes)))
        _wholes[name] = whole
    whole.active += 1
    whole.run.is_left = False
    writer.schedule(whole.run)
    return whole
