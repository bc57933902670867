"""
Whom a caller means: users, primary keys, requests, querysets and groups, as primary keys.

What is no recipient raises here, before anything is stored, and the error says what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from notify.db import batches
from notify.exceptions import InvalidRecipient, RecipientNotSaved
from notify.models import UNSTORABLE, all_users, database

MAX_INTEGER = 2**63 - 1


def one(
    to: Any,
    *,
    verb: str = "notify.send()",
    several: str = "Use notify.send_many().",
    must_exist: bool = True,
) -> Any:
    """
    The primary key of one recipient: a user, a request, or a primary key.

    Args:
        verb: what was called, for the error.
        several: what to do with several recipients, for the error.
        must_exist: look a primary key up; else its user may have been deleted.
    """
    to = _unwrapped(to)
    if _is_user(to):
        return saved_key(to)
    if _is_several(to):
        raise TypeError(f"{verb} takes one recipient, not {_described(to)}. {several}")
    key = _as_key(to)
    return _existing([key])[0] if must_exist else key


def many(to: Any) -> list[Any]:
    """The primary keys of several recipients, each once, in the order given."""
    user_model = get_user_model()
    if _is_group(to):
        to = user_model._default_manager.using(database()).filter(groups=to)
    # values_list() gives keys, as a list does; of what, only its reader knows.
    if isinstance(to, QuerySet) and to._fields is None:  # type: ignore[attr-defined]
        if not issubclass(to.model, user_model):
            raise TypeError(
                f"notify.send_many() takes users, not a queryset of {to.model.__name__}."
            )
        return list(dict.fromkeys(to.values_list("pk", flat=True)))
    if _is_user(to) or isinstance(to, (str, bytes, HttpRequest)) or not isinstance(to, Iterable):
        raise TypeError(
            f"notify.send_many() takes an iterable, a queryset or a group, not {_described(to)}."
            " Use notify.send() for one recipient."
        )
    keys: dict[Any, bool] = {}  # whether the key needs a look at the database
    for recipient in to:
        user = _is_user(recipient)
        keys.setdefault(saved_key(recipient) if user else _as_key(recipient), not user)
    _existing([key for key, unsure in keys.items() if unsure])
    return list(keys)


def saved_key(user: Any) -> Any:
    """The primary key of a user, who must have one."""
    if user.is_anonymous:
        raise InvalidRecipient(
            "Cannot notify an anonymous user: there is no mailbox to put it in."
            " Check user.is_authenticated first."
        )
    if user.pk is None or user._state.adding:
        raise RecipientNotSaved(
            f"Cannot notify {user!r}: it has no primary key in the database yet. Save it before"
            " calling notify.send()."
        )
    return user.pk


def _unwrapped(to: Any) -> Any:
    """The user of a request; anything else as it is."""
    # Django REST framework wraps the request.
    if isinstance(to, HttpRequest) or isinstance(getattr(to, "_request", None), HttpRequest):
        return _user_of(to)
    return to


def _is_several(to: Any) -> bool:
    return _is_group(to) or (isinstance(to, Iterable) and not isinstance(to, (str, bytes)))


def _is_user(to: Any) -> bool:
    return isinstance(to, get_user_model()) or getattr(to, "is_anonymous", None) is True


def _is_group(to: Any) -> bool:
    return isinstance(to, Model) and to._meta.label == "auth.Group"


def _user_of(request: HttpRequest) -> Any:
    try:
        return request.user
    except AttributeError:
        raise InvalidRecipient(
            "Cannot notify this request: it has no user. Is AuthenticationMiddleware in MIDDLEWARE?"
        ) from None


def _as_key(to: Any) -> Any:
    field = get_user_model()._meta.pk
    assert field is not None
    if (
        to is None
        or isinstance(to, (bool, float, Model))
        or (isinstance(to, Iterable) and not isinstance(to, str))
    ):
        raise TypeError(f"A recipient is a user, a primary key or a request, not {_described(to)}.")
    try:
        key = field.to_python(to)
    except ValidationError:
        key = None
    if key is None or UNSTORABLE.search(str(key)) or (isinstance(key, int) and key > MAX_INTEGER):
        raise InvalidRecipient(
            f"{to!r} is neither a user nor the primary key of one ({field.get_internal_type()})."
        )
    return key


def _existing(keys: Sequence[Any]) -> Sequence[Any]:
    """The same keys, when each is the primary key of a user."""
    users = all_users()
    for batch in batches(keys):
        missing = set(batch) - set(users.filter(pk__in=batch).values_list("pk", flat=True))
        if missing:
            shown = ", ".join(repr(key) for key in sorted(missing)[:5])
            raise InvalidRecipient(f"No user has the primary key {shown}. Nothing was sent.")
    return keys


def _described(to: Any) -> str:
    return "None" if to is None else f"{type(to).__name__} {str(to)[:60]!r}"
