from __future__ import annotations

from django.apps import AppConfig


class UUIDUsersConfig(AppConfig):
    name = "tests.kit.users.uuid"
    label = "uuid_users"
