"""Found by notify as admin.py is. Each effect is a row, so that it is committed or not."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib.auth.models import Group

import notify


@notify.action("shop.undo")
def undo(user: Any, notification: Any, order: str) -> str:
    Group.objects.create(name=f"{order}-{secrets.token_hex(8)}")
    notify.send(user, f"{order} was brought back")
    return f"{order} is back."
