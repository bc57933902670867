"""Which tasks have been silent for so long that their users must be informed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from notify.conf import conf
from notify.models import TaskRecord
from notify.protocol import TaskState

SILENT_SHARE = 0.2  # of NOTIFY_PROGRESS_LOST_AFTER; by default, four missed beats


def stale(recipient_id: Any) -> QuerySet[TaskRecord]:
    """Returns the tasks of a recipient that are to be shown as silent or lost."""
    now = timezone.now()
    lost = now - timedelta(seconds=conf.PROGRESS_LOST_AFTER)
    silent = now - timedelta(seconds=conf.PROGRESS_LOST_AFTER) * SILENT_SHARE
    running = Q(state__in=[TaskState.RUNNING.value, TaskState.CANCELLING.value])
    # A queued task is never lost, because it may wait in a long queue.
    live = running | Q(state=TaskState.QUEUED.value)
    return TaskRecord.objects.filter(
        live & Q(beat_at__lt=silent, is_silent=False) | running & Q(beat_at__lt=lost),
        recipient=recipient_id,
    )
