"""
Progress of tasks: how a task reports, and how its reports are stored.

- ``handle``: ``notify.progress()``, ``track()``, and the handle by which a task reports
- ``counter``: counts how much of a task or step is done, and out of how much
- ``run``: the two halves of a task: its report in memory, and its stored state
- ``writer``: the thread that writes the reports of tasks, so that no task waits for a database
- ``rows``: the transaction that writes a task's row
- ``attempts``: pure functions that decide which report on a task is newer
- ``silence``: which tasks have been silent for so long that their users must be informed
- ``ticks``: progress between two writes of a row, sent to open tabs only
- ``decorator``: ``notify.tracked()``, which shows the runs of a function
- ``jobs``: the functions that adapters of task queues call
- ``wholes``: several jobs that are shown as one task

A *task* is a notification with progress, a *job* is what a queue runs, a *run* (``TaskRun``) is one attempt.
``notify.contrib`` uses ``jobs``, ``decorator`` and ``flush``; ``inbox`` uses ``rows.tend`` for silent
tasks, and ``transports`` uses ``rows.ask_to_end``.
"""

from __future__ import annotations

from notify.tracking.counter import Step
from notify.tracking.handle import Progress
from notify.tracking.writer import flush

__all__ = ["Progress", "Step", "flush"]
