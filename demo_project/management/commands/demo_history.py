from __future__ import annotations

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.utils import timezone

from demo_project import history


class Command(BaseCommand):
    help = (
        "Give each user without notifications those of a week, so that no inbox is empty at first."
    )

    def handle(self, **options):
        for user in get_user_model().objects.order_by("pk"):
            history.remember(user, timezone.now())
