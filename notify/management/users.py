"""How the commands find a user."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError


def find(name: str) -> Any:
    """
    The user who signs in with this name, else the one with this primary key.

    Raises:
        CommandError: there is none.
    """
    model = get_user_model()
    users = model._default_manager
    for field in (model.USERNAME_FIELD, "pk"):
        try:
            return users.get(**{field: name})
        except (model.DoesNotExist, ValidationError, ValueError):
            continue
    raise CommandError(
        f"There is no user {name!r}. Give a {model.USERNAME_FIELD}, or a primary key."
    )
