from __future__ import annotations

from datetime import timedelta

from django.core.management import call_command
from django.utils import timezone

import notify
from demo_project.history import EVENTS
from notify.models import Notification


def test_the_inbox_has_a_week_of_history_and_the_newest_is_unread(transactional_db):
    call_command("demo_users", verbosity=0)
    call_command("demo_history")
    alice = Notification.objects.values_list("recipient", flat=True).earliest("pk")
    rows = notify.inbox.page(alice, limit=50).notifications
    assert [row.title for row in rows] == [title for _, _, title, *_ in reversed(EVENTS)]
    days = [(timezone.now() - row.updated_at) / timedelta(days=1) for row in rows]
    assert days == sorted(days)
    assert 6 < days[-1] < 7
    assert all(row.read_at is None for row in rows[:3])
    assert all(row.read_at for row in rows[-3:])


def test_it_is_made_once(transactional_db):
    call_command("demo_users", verbosity=0)
    call_command("demo_history")
    made = Notification.objects.count()
    call_command("demo_history")
    assert Notification.objects.count() == made
