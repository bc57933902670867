"""Find the user that is named in the arguments of a management command."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError


def find(name: str) -> Any:
    """
    Returns the user with the given username, else the user with the given primary key.

    Args:
        name: a value of the user model's ``USERNAME_FIELD``, or a primary key as text.

    Raises:
        CommandError: if no user has this username or primary key.
    """
    model = get_user_model()
    users = model._default_manager
    for field in (model.USERNAME_FIELD, "pk"):
        try:
            return users.get(**{field: name})
        except (model.DoesNotExist, ValidationError, ValueError):
            continue
    raise CommandError(
        f"User {name!r} does not exist. Specify a {model.USERNAME_FIELD} or a primary key."
    )
