"""The Celery app of the test processes, set up as in a project."""

from __future__ import annotations

from celery import Celery
from django.conf import settings

BROKER: str = getattr(settings, "QUEUE", "memory://")

app = Celery("tests", include=["tests.queues.celery_tasks"])
app.conf.update(
    broker_url=BROKER,
    result_backend=BROKER,
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    task_always_eager=getattr(settings, "CELERY_EAGER", False),
)
app.set_default()
