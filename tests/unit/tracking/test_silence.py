"""Which tasks are shown as silent, or as lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from notify.models import TaskRecord
from notify.tracking import silence
from tests.kit.mailboxes import leave_waiting

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("state", "seconds", "is_silent", "is_stale"),
    [
        ("running", 10, False, False),
        ("running", 30, False, True),
        ("running", 30, True, False),
        ("running", 200, True, True),
        ("cancelling", 200, True, True),
        ("queued", 30, False, True),
        ("queued", 200, True, False),
        ("succeeded", 200, False, False),
    ],
)
def test_a_task_is_stale_if_its_user_must_be_informed(
    state, seconds, is_silent, is_stale, user, settings
):
    """They are informed once that it is silent, and once that it is lost. A queued task may wait forever."""
    settings.NOTIFY_PROGRESS_LOST_AFTER = 100
    (row,) = leave_waiting(user, "Import")
    beat_at = timezone.now() - timedelta(seconds=seconds)
    TaskRecord.objects.create(
        notification=row, recipient=user, state=state, beat_at=beat_at, is_silent=is_silent
    )
    assert silence.stale(user.pk).exists() is is_stale
