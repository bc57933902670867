"""The values that a caller passes: checked, and prepared for storage."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.messages import constants
from django.utils import timezone

from notify.encoding import timestamp
from notify.exceptions import InvalidNotification
from notify.models import MAX_MESSAGE, MAX_URL, UNSTORABLE
from notify.protocol import Level
from notify.sending import links

MAX_DATA_BYTES = 16 * 1024
MAX_DATA_DEPTH = 30  # MariaDB rejects JSON that is nested deeper than 31 levels


def checked_text(name: str, value: Any, limit: int) -> str:
    """Returns a text as a plain string, after a check that it can be stored."""
    # Convert lazy and safe strings to plain ones. str() would return a SafeString unchanged.
    text = "" if value is None else str.__str__(f"{value}")
    if len(text) > limit:
        link = ", or link to a page with the full text" if name in ("message", "title") else ""
        raise InvalidNotification(
            f"{name} has {len(text)} characters; at most {limit} are allowed. Shorten it{link}."
        )
    if UNSTORABLE.search(text):
        raise InvalidNotification(
            f"{name} contains NUL or a lone surrogate, which databases reject: {text[:60]!r}."
        )
    return text


def level_from(number: int) -> str:
    """Returns the level of a message of ``django.contrib.messages``; a number in between takes that below."""
    known = [level for level in Level if getattr(constants, level.name) <= number]
    return max(known, key=lambda level: getattr(constants, level.name), default=Level.DEBUG).value


def shortened(value: Any, limit: int = MAX_MESSAGE) -> str:
    """Returns a task's text, cut to the limit, because a long text must not make the task fail."""
    text = "" if value is None else storable(f"{value}")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def storable(text: str) -> str:
    """Returns the text without NUL, and with lone surrogates replaced, because some databases reject them."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def checked_url(name: str, value: Any) -> str:
    """Returns the URL of a link in the active language; "" if there is no link."""
    return checked_text(name, links.resolve(name, value), MAX_URL)


def checked_data(data: Any, name: str = "data") -> Any:
    """Returns a copy of JSON data, because the caller may change the object before the commit."""
    if data is None:
        return None
    try:
        text = json.dumps(data, allow_nan=False)
        copy = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidNotification(
            f"{name} cannot be stored as JSON: {error}. Use dicts, lists, strings and numbers."
        ) from error
    if len(text) > MAX_DATA_BYTES:
        raise InvalidNotification(
            f"{name} has {len(text)} bytes as JSON; at most {MAX_DATA_BYTES} are allowed."
            " Store it in a model of your own, and pass its primary key instead."
        )
    _check_data(copy, name)
    return copy


def _check_data(data: Any, name: str, depth: int = 0) -> None:
    """Reject JSON that one of the supported databases cannot store."""
    if depth > MAX_DATA_DEPTH:
        raise InvalidNotification(f"{name} must not be nested deeper than {MAX_DATA_DEPTH} levels.")
    if isinstance(data, str):
        checked_text(name, data, MAX_DATA_BYTES)
    elif isinstance(data, dict):
        for part in (*data, *data.values()):
            _check_data(part, name, depth + 1)
    elif isinstance(data, list):
        for part in data:
            _check_data(part, name, depth + 1)


def checked_expiry(expires: datetime | timedelta | None) -> datetime | None:
    """Returns the moment at which a notification expires."""
    if expires is None:
        return None
    if not isinstance(expires, (datetime, timedelta)):
        raise InvalidNotification(f"expires must be a datetime or a timedelta, not {expires!r}.")
    now = timezone.now()
    try:
        moment = now + expires if isinstance(expires, timedelta) else _in_our_zone(expires)
        timestamp(moment)
    except OverflowError as error:
        raise InvalidNotification(
            f"expires={expires!r} is out of the range of dates. Omit it if the notification should never"
            " expire."
        ) from error
    if moment <= now:
        raise InvalidNotification(
            f"expires={expires!r} is in the past, so the notification would never be shown."
        )
    return moment


def _in_our_zone(moment: datetime) -> datetime:
    """Returns the moment as Django stores it: aware if ``USE_TZ`` is True, else naive."""
    if settings.USE_TZ and timezone.is_naive(moment):
        return timezone.make_aware(moment)
    if not settings.USE_TZ and timezone.is_aware(moment):
        return timezone.make_naive(moment)
    return moment
