"""
What a caller gives, checked and made ready to store: texts, links, limits.

Everything that a programmer can get wrong raises here, before anything is stored, and says what
is wrong, where, and what to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.messages import constants
from django.core.exceptions import ImproperlyConfigured
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from notify.conf import conf
from notify.db import batches
from notify.exceptions import InvalidNotification
from notify.models import (
    MAX_CATEGORY,
    MAX_KEY,
    MAX_MESSAGE,
    MAX_TITLE,
    MAX_URL,
    UNSTORABLE,
    Notification,
    all_users,
    timestamp,
)
from notify.protocol import Level

MAX_ACTIONS = 5
MAX_LABEL = 50
MAX_DATA_BYTES = 16 * 1024
MAX_DATA_DEPTH = 30  # MariaDB takes no JSON that is nested deeper than 31
LEVELS: dict[Any, str] = {level.value: level.value for level in Level} | {
    getattr(constants, level.name): level.value for level in Level
}
SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
EXTERNAL_SCHEMES = frozenset({"http", "https", "mailto"})
IGNORED_BY_BROWSERS = re.compile(r"[\x00-\x20]")


@dataclass(frozen=True, slots=True)
class Action:
    """
    A link under a notification.

        notify.send(user, "Your export is ready", actions=[notify.Action("Download", "/exports/7/")])

    Args:
        label: at most 50 characters; may be a lazy translation.
        url: as ``url`` of :func:`notify.send`.
    """

    label: str
    url: Any


@dataclass(frozen=True, slots=True)
class Letter:
    """The content of a notification as the caller gave it, with texts that may be lazy."""

    message: Any
    level: Any
    title: Any
    category: str
    url: Any
    actions: Iterable[Action | Mapping[str, Any]]
    data: Any
    key: str
    expires: Any

    def checked(self) -> Letter:
        """The same with all checked that does not depend on a language."""
        if isinstance(self.actions, Action) or not isinstance(self.actions, Iterable):
            raise InvalidNotification(
                f"actions={self.actions!r} is not a list. Use [notify.Action(label, url)]."
            )
        actions = [
            action if isinstance(action, Action) else _action(action) for action in self.actions
        ]
        if len(actions) > MAX_ACTIONS:
            raise InvalidNotification(
                f"actions has {len(actions)} entries; at most {MAX_ACTIONS} are stored."
                " Link to a page that offers the rest."
            )
        return Letter(
            message=self.message,
            title=self.title,
            level=_level(self.level),
            category=_text("category", self.category, MAX_CATEGORY),
            url=_url("url", self.url),
            actions=[Action(action.label, _action_url(action)) for action in actions],
            data=_data(self.data),
            key=_text("key", self.key, MAX_KEY),
            expires=_expires(self.expires),
        )

    @property
    def is_lazy(self) -> bool:
        """Whether some text is a translation that waits for a language."""
        labels = (action.label for action in self.actions if isinstance(action, Action))
        return any(isinstance(text, Promise) for text in (self.message, self.title, *labels))

    def render(self) -> Notification:
        """An unsaved notification, without a recipient, in the active language."""
        message = _text("message", self.message, MAX_MESSAGE)
        if not message.strip():
            raise InvalidNotification("message is empty. Say in a sentence what happened.")
        actions = [
            {"label": _label(action), "url": action.url}
            for action in self.actions
            if isinstance(action, Action)
        ]
        now = timezone.now()
        return Notification(
            level=self.level,
            category=self.category,
            title=_text("title", self.title, MAX_TITLE),
            message=message,
            url=self.url,
            actions=actions,
            data=self.data,
            collapse_key=self.key,
            created_at=now,
            updated_at=now,
            expires_at=self.expires,
        )


def address(letter: Letter, recipients: Sequence[Any]) -> list[tuple[Notification, list[Any]]]:
    """
    Render a letter for its recipients: once, or once for each of their languages.

    Args:
        recipients: primary keys of users, each once.
    """
    letter = letter.checked()
    if conf.LANGUAGE is None or not letter.is_lazy:
        return [(letter.render(), list(recipients))]
    language_of = _language_of()
    languages: dict[Any, str | None] = {}
    users = all_users()
    for batch in batches(recipients):
        languages.update((user.pk, language_of(user)) for user in users.filter(pk__in=batch))
    by_language: dict[str, list[Any]] = {}
    for pk in recipients:
        by_language.setdefault(languages.get(pk) or settings.LANGUAGE_CODE, []).append(pk)
    letters = []
    for language, speakers in by_language.items():
        with translation.override(language):
            letters.append((letter.render(), speakers))
    return letters


def _language_of() -> Callable[[Any], str | None]:
    path = conf.LANGUAGE
    try:
        language_of: Callable[[Any], str | None] = import_string(path)
    except (ImportError, AttributeError) as error:
        raise ImproperlyConfigured(
            f"NOTIFY_LANGUAGE = {path!r} cannot be imported. It is the dotted path of a callable"
            " that takes a user and returns a language code."
        ) from error
    if not callable(language_of):
        raise ImproperlyConfigured(
            f"NOTIFY_LANGUAGE = {path!r} cannot be called. It takes a user and returns a language"
            " code."
        )
    return language_of


# -- Content -------------------------------------------------------------------------------------


def _level(level: Any) -> str:
    try:
        return LEVELS[level]
    except (KeyError, TypeError):
        names = ", ".join(known.value for known in Level)
        raise InvalidNotification(
            f"level={level!r} is not a level. Use one of {names}, or a constant of django.contrib.messages."
        ) from None


def _text(name: str, value: Any, limit: int) -> str:
    # A lazy or a safe string becomes a plain one; the latter's own __str__ would return itself.
    text = "" if value is None else str.__str__(f"{value}")
    if len(text) > limit:
        raise InvalidNotification(
            f"{name} has {len(text)} characters; at most {limit} are stored."
            " Shorten it, or link to a page that says it all."
        )
    if UNSTORABLE.search(text):
        raise InvalidNotification(f"{name} has a character that no database stores: {text[:60]!r}.")
    return text


def _url(name: str, value: Any) -> str:
    try:
        value = str(value) if isinstance(value, Promise) else value  # reverse_lazy()
        url = _text(name, _resolved(name, value), MAX_URL)
    except NoReverseMatch as error:
        shown = "" if isinstance(value, Promise) else f"={value!r}"
        raise InvalidNotification(
            f"{name}{shown} is neither an address nor the name of a URL pattern. Give a path such"
            " as /exports/7/, an object with get_absolute_url(), or reverse(…)."
        ) from error
    if _scheme(url) not in {"", *EXTERNAL_SCHEMES}:
        raise InvalidNotification(
            f"{name}={value!r} opens something else than a page. Use http, https, mailto or a path."
        )
    return url


def _resolved(name: str, value: Any) -> Any:
    if value is None or value == "":
        return ""
    if isinstance(value, str) and (value.startswith("/") or _scheme(value) in EXTERNAL_SCHEMES):
        return value  # no name of a URL pattern, so nothing to resolve
    if not (isinstance(value, str) or callable(value) or hasattr(value, "get_absolute_url")):
        raise InvalidNotification(
            f"{name}={value!r} has no address: {type(value).__name__} has no get_absolute_url()."
        )
    return resolve_url(value)


def _scheme(url: str) -> str:
    """What a browser takes for the scheme of an address, in lower case; of a path it is empty."""
    match = SCHEME.match(IGNORED_BY_BROWSERS.sub("", url))
    return match[1].lower() if match else ""


def _action_url(action: Action) -> str:
    url = _url("the url of an action", action.url)
    if not url:
        raise InvalidNotification(f"{action!r} leads nowhere. Give it a url.")
    return url


def _label(action: Action) -> str:
    label = _text("the label of an action", action.label, MAX_LABEL)
    if not label.strip():
        raise InvalidNotification(f"The action that leads to {action.url} has no label.")
    return label


def _action(action: Any) -> Action:
    try:
        return Action(**action)
    except TypeError:
        raise InvalidNotification(
            f"actions has {action!r}; each is notify.Action(label, url), or a mapping with these two."
        ) from None


def _data(data: Any) -> Any:
    if data is None:
        return None
    try:
        text = json.dumps(data, allow_nan=False)
        copy = json.loads(text)  # the caller's object may change before the commit
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidNotification(
            f"data is not JSON: {error}. Use dict, list, str, numbers."
        ) from error
    if len(text) > MAX_DATA_BYTES:
        raise InvalidNotification(
            f"data has {len(text)} bytes as JSON; at most {MAX_DATA_BYTES} are stored."
            " Store it in a model of yours, and its key here."
        )
    _check_data(copy)
    return copy


def _check_data(data: Any, depth: int = 0) -> None:
    """Refuse what is JSON, but what one of the databases does not take."""
    if depth > MAX_DATA_DEPTH:
        raise InvalidNotification(f"data is nested deeper than {MAX_DATA_DEPTH} levels.")
    if isinstance(data, str):
        _text("data", data, MAX_DATA_BYTES)
    elif isinstance(data, dict):
        for part in (*data, *data.values()):
            _check_data(part, depth + 1)
    elif isinstance(data, list):
        for part in data:
            _check_data(part, depth + 1)


def _expires(expires: datetime | timedelta | None) -> datetime | None:
    if expires is None:
        return None
    if not isinstance(expires, (datetime, timedelta)):
        raise InvalidNotification(f"expires={expires!r} is neither a datetime nor a timedelta.")
    now = timezone.now()
    try:
        moment = now + expires if isinstance(expires, timedelta) else _in_our_zone(expires)
        timestamp(moment)
    except OverflowError as error:
        raise InvalidNotification(
            f"expires={expires!r} is beyond the calendar. Leave it out for what never expires."
        ) from error
    if moment <= now:
        raise InvalidNotification(f"expires={expires!r} is in the past: nobody would see it.")
    return moment


def _in_our_zone(moment: datetime) -> datetime:
    """Aware with ``USE_TZ``, naive without."""
    if settings.USE_TZ and timezone.is_naive(moment):
        return timezone.make_aware(moment)
    if not settings.USE_TZ and timezone.is_aware(moment):
        return timezone.make_naive(moment)
    return moment
