from __future__ import annotations

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

PASSWORD = "demo"
USERS = {"alice": False, "bob": False, "admin": True}  # name: may use the admin


class Command(BaseCommand):
    help = "Make the demo's users alice, bob and admin, all with the password demo."

    def handle(self, **options):
        for name, is_staff in USERS.items():
            user, is_new = get_user_model().objects.get_or_create(
                username=name, defaults={"is_staff": is_staff, "is_superuser": is_staff}
            )
            if is_new:
                user.set_password(PASSWORD)
                user.save()
        self.stdout.write(f"Users: {', '.join(USERS)}; password: {PASSWORD}")
