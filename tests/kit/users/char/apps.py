from __future__ import annotations

from django.apps import AppConfig


class CharUsersConfig(AppConfig):
    name = "tests.kit.users.char"
    label = "char_users"
