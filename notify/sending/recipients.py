"""
Recipients: users, requests, querysets and groups, resolved to primary keys.

Any other value raises an exception here, before a row is stored. The message states the fault.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from notify.db import all_users, batches, database
from notify.exceptions import InvalidRecipient, RecipientNotSaved
from notify.models import UNSTORABLE
from notify.sending.echo import request_of

MAX_INTEGER = 2**63 - 1
MOST_NAMED = 5  # primary keys in one error message


def one(
    to: Any,
    *,
    verb: str = "notify.send()",
    several: str = "Use notify.send_many().",
    must_exist: bool = True,
) -> Any:
    """
    Returns the primary key of one recipient, given as a user, a request or a primary key.

    Args:
        verb: the name of the public call, for error messages.
        several: the suggestion in the error message for several recipients.
        must_exist: whether to look up a bare primary key in the database. If False, the user may
            have been deleted.
    """
    to = _unwrapped(to)
    if _is_user(to):
        return saved_key(to, verb)
    if _is_several(to):
        raise TypeError(f"{verb} takes one recipient, not {_described(to)}. {several}")
    key = _as_key(to)
    return _existing([key])[0] if must_exist else key


def many(to: Any) -> list[Any]:
    """Returns the primary keys of several recipients, without duplicates, in the given order."""
    user_model = get_user_model()
    if _is_group(to):
        # By primary key, because a data migration may pass a group of its own model class.
        to = user_model._default_manager.using(database()).filter(groups=to.pk)
    # A values_list() queryset yields keys, so the code for other iterables below handles it.
    if isinstance(to, QuerySet) and to._fields is None:  # type: ignore[attr-defined]
        if _is_historical(to.model):
            raise TypeError(
                "notify.send_many() does not take users of a historical model, which apps.get_model()"
                " returns in a migration. Pass their primary keys: users.values_list('pk', flat=True)."
            )
        if not issubclass(to.model, user_model):
            raise TypeError(
                f"notify.send_many() takes users, not a queryset of {to.model.__name__}."
            )
        return list(dict.fromkeys(to.values_list("pk", flat=True)))
    if _is_user(to) or isinstance(to, (str, bytes, HttpRequest)) or not isinstance(to, Iterable):
        raise TypeError(
            f"notify.send_many() takes an iterable, a queryset or a group, not {_described(to)}."
            " Use notify.send() to notify one recipient."
        )
    keys: dict[Any, bool] = {}  # key: whether it must be looked up in the database
    for recipient in to:
        user = _is_user(recipient)
        keys.setdefault(
            saved_key(recipient, "notify.send_many()") if user else _as_key(recipient), not user
        )
    _existing([key for key, unsure in keys.items() if unsure])
    return list(keys)


def saved_key(user: Any, verb: str) -> Any:
    """Returns the primary key of a user instance, which must have been saved."""
    if user.is_anonymous:
        raise InvalidRecipient(
            f"{verb} does not take an anonymous user, because anonymous users have no mailbox."
            " Check user.is_authenticated first."
        )
    if user.pk is None or user._state.adding:
        raise RecipientNotSaved(
            f"{verb} does not take {user!r}, because it is not in the database yet. Save it before the"
            " call."
        )
    return user.pk


def _unwrapped(to: Any) -> Any:
    """Returns the user of a request, and any other value unchanged."""
    return to if request_of(to) is None else _user_of(to)


def _is_several(to: Any) -> bool:
    return _is_group(to) or (isinstance(to, Iterable) and not isinstance(to, (str, bytes)))


def _is_user(to: Any) -> bool:
    return isinstance(to, get_user_model()) or getattr(to, "is_anonymous", None) is True


def _is_group(to: Any) -> bool:
    return isinstance(to, Model) and to._meta.label == "auth.Group"


def _is_historical(model: type[Model]) -> bool:
    """Returns whether this is the user model of a migration, a class without the methods of users."""
    user_model = get_user_model()
    return model._meta.label == user_model._meta.label and not issubclass(model, user_model)


def _user_of(request: HttpRequest) -> Any:
    try:
        return request.user
    except AttributeError:
        raise InvalidRecipient(
            "This request has no user. Is AuthenticationMiddleware in MIDDLEWARE?"
        ) from None


def _as_key(to: Any) -> Any:
    field = get_user_model()._meta.pk
    assert field is not None
    if isinstance(to, Model) and _is_historical(type(to)):
        raise TypeError(
            f"A recipient must not be {to!r} of a historical model, which apps.get_model() returns in a"
            " migration. Pass its primary key: user.pk."
        )
    if (
        to is None
        or isinstance(to, (bool, float, Model))
        or (isinstance(to, Iterable) and not isinstance(to, str))
    ):
        raise TypeError(
            f"A recipient must be a user, a primary key or a request, not {_described(to)}."
        )
    try:
        key = field.to_python(to)
    except ValidationError:
        key = None
    if key is None or UNSTORABLE.search(str(key)) or (isinstance(key, int) and key > MAX_INTEGER):
        raise InvalidRecipient(
            f"{to!r} is neither a user nor a valid primary key of a user ({field.get_internal_type()})."
        )
    return key


def _existing(keys: Sequence[Any]) -> Sequence[Any]:
    """Returns the keys unchanged, after a check that each is the primary key of a user."""
    users = all_users()
    for batch in batches(keys):
        missing = set(batch) - set(users.filter(pk__in=batch).values_list("pk", flat=True))
        if missing:
            raise InvalidRecipient(f"{_described_missing(missing)}. Nothing was stored.")
    return keys


def _described_missing(keys: Collection[Any]) -> str:
    shown = ", ".join(repr(key) for key in sorted(keys)[:MOST_NAMED])
    if len(keys) == 1:
        return f"No user has the primary key {shown}"
    return f"No users have these primary keys: {shown}{', …' if len(keys) > MOST_NAMED else ''}"


def _described(to: Any) -> str:
    return "None" if to is None else f"{type(to).__name__} {str(to)[:60]!r}"
