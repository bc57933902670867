"""
The Celery worker under measurement: a task that tells its progress as celery-progress documents it.

Broker and result backend are the Redis of the run; all else is as Celery has it by default.
"""

from __future__ import annotations

import os

from celery import Celery, Task
from celery_progress.backend import ProgressRecorder

from benchmarks.progress import CELERY, Cost, loop, taken

url = os.environ["BENCHMARK_REDIS"]
app = Celery("benchmarks", broker=url, backend=url)


@app.task(bind=True)
def work(self: Task, updates: int) -> dict[str, list[Cost]]:
    """So many updates; and the empty loop, as this process runs it."""

    def record(updates: int) -> None:
        progress_recorder = ProgressRecorder(self)
        for i in range(updates):
            progress_recorder.set_progress(i + 1, updates)

    costs = {"loop in the worker": [taken(loop, updates)], CELERY: [taken(record, updates)]}
    told = self.AsyncResult(self.request.id).info
    if told["current"] != updates:
        raise RuntimeError(f"Redis has {told} after {updates} updates")
    return costs
