"""
The content of a notification: texts, links and limits, validated and prepared for storage.

Invalid arguments raise an exception here, before anything is stored. The message names the argument
and, where one helps, suggests a correction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.messages import constants
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from notify.conf import conf
from notify.db import all_users, batches
from notify.exceptions import InvalidNotification
from notify.models import (
    MAX_CATEGORY,
    MAX_KEY,
    MAX_MESSAGE,
    MAX_TITLE,
    MAX_URL,
    UNSTORABLE,
    Notification,
    timestamp,
)
from notify.protocol import Level
from notify.sending import links

MAX_ACTIONS = 5
MAX_LABEL = 50
MAX_DATA_BYTES = 16 * 1024
MAX_DATA_DEPTH = 30  # MariaDB rejects JSON that is nested deeper than 31 levels
LEVELS: dict[Any, str] = {level.value: level.value for level in Level} | {
    getattr(constants, level.name): level.value for level in Level
}


@dataclass(frozen=True, slots=True)
class Action:
    """
    A link at the bottom of a notification.

        notify.send(user, "Your export is ready", actions=[notify.Action("Download", "/exports/7/")])

    Args:
        label: plain text of at most 50 characters. It may be a lazy translation.
        url: the target of the link, as for the ``url`` of :func:`notify.send`.
    """

    label: str
    url: Any


@dataclass(frozen=True, slots=True)
class Content:
    """
    The content of a notification as the caller passed it.

    Its texts may be lazy translations. Its links are resolved when it is rendered, because a URL too may
    depend on the language (``i18n_patterns``).
    """

    message: Any
    level: Any = "info"
    title: Any = ""
    category: str = ""
    url: Any = ""
    actions: Iterable[Action | Mapping[str, Any]] = ()
    data: Any = None
    key: str = ""
    count: bool = False
    expires: Any = None

    def checked(self) -> Content:
        """
        Returns a copy in which every value that does not depend on a language has been validated.

        Raises:
            InvalidNotification: if a value cannot be stored.
        """
        if isinstance(self.actions, Action) or not isinstance(self.actions, Iterable):
            raise InvalidNotification(
                f"actions must be a list, not {self.actions!r}. Use [notify.Action(label, url)]."
            )
        actions = [
            action if isinstance(action, Action) else _action(action) for action in self.actions
        ]
        if len(actions) > MAX_ACTIONS:
            raise InvalidNotification(
                f"actions has {len(actions)} entries; at most {MAX_ACTIONS} are allowed."
                " Link to a page with the others."
            )
        return Content(
            message=self.message,
            title=self.title,
            level=_level(self.level),
            category=_text("category", self.category, MAX_CATEGORY),
            url=self.url,
            actions=actions,
            data=_data(self.data),
            key=_text("key", self.key, MAX_KEY),
            count=_count(self.count, self.key),
            expires=_expires(self.expires),
        )

    @property
    def depends_on_language(self) -> bool:
        """Returns whether a text is a lazy translation or a link is unresolved."""
        actions = [action for action in self.actions if isinstance(action, Action)]
        texts = [self.message, self.title, *(action.label for action in actions)]
        urls = [self.url, *(action.url for action in actions)]
        return any(isinstance(text, Promise) for text in texts) or not all(map(links.is_url, urls))

    def render(self) -> Notification:
        """Returns an unsaved notification without a recipient, rendered in the active language."""
        message = _text("message", self.message, MAX_MESSAGE)
        if not message.strip():
            raise InvalidNotification(
                "message must not be empty. Write a sentence about what happened."
            )
        actions = [
            {"label": _label(action), "url": _action_url(action)}
            for action in self.actions
            if isinstance(action, Action)
        ]
        now = timezone.now()
        return Notification(
            level=self.level,
            category=self.category,
            title=_text("title", self.title, MAX_TITLE),
            message=message,
            url=_url("url", self.url),
            actions=actions,
            data=self.data,
            collapse_key=self.key,
            is_counted=self.count,
            created_at=now,
            updated_at=now,
            expires_at=self.expires,
        )


def address(content: Content, recipient_ids: Sequence[Any]) -> list[tuple[Notification, list[Any]]]:
    """
    Render content for its recipients: once, or once for each of their languages.

    Args:
        recipient_ids: primary keys of users, without duplicates.

    Returns pairs of an unsaved notification and the primary keys of the users that get a copy of it.
    """
    content = content.checked()
    if conf.LANGUAGE is None or not content.depends_on_language:
        return [(content.render(), list(recipient_ids))]
    language_of = _language_of()
    languages: dict[Any, str | None] = {}
    users = all_users()
    for batch in batches(recipient_ids):
        languages.update((user.pk, language_of(user)) for user in users.filter(pk__in=batch))
    by_language: dict[str, list[Any]] = {}
    for pk in recipient_ids:
        by_language.setdefault(languages.get(pk) or settings.LANGUAGE_CODE, []).append(pk)
    rendered = []
    for language, readers in by_language.items():
        with translation.override(language):
            rendered.append((content.render(), readers))
    return rendered


def _language_of() -> Callable[[Any], str | None]:
    path = conf.LANGUAGE
    try:
        language_of: Callable[[Any], str | None] = import_string(path)
    except (ImportError, AttributeError) as error:
        raise ImproperlyConfigured(
            f"NOTIFY_LANGUAGE = {path!r} could not be imported. It must be the dotted path of a callable"
            " that takes a user and returns a language code."
        ) from error
    if not callable(language_of):
        raise ImproperlyConfigured(
            f"NOTIFY_LANGUAGE = {path!r} is not callable. It must be a callable that takes a user and"
            " returns a language code."
        )
    return language_of


def _level(level: Any) -> str:
    try:
        return LEVELS[level]
    except (KeyError, TypeError):
        names = ", ".join(known.value for known in Level)
        raise InvalidNotification(
            f"level={level!r} is not a valid level. Use one of {names}, or a constant of"
            " django.contrib.messages."
        ) from None


def _text(name: str, value: Any, limit: int) -> str:
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


def shortened(value: Any, limit: int = MAX_MESSAGE) -> str:
    """Returns a task's text, cut to the limit, because a long text must not make the task fail."""
    text = "" if value is None else storable(f"{value}")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def storable(text: str) -> str:
    """Returns the text without NUL, and with lone surrogates replaced, because some databases reject them."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _url(name: str, value: Any) -> str:
    return _text(name, links.resolve(name, value), MAX_URL)


def _action_url(action: Action) -> str:
    url = _url("In actions: url", action.url)
    if not url:
        raise InvalidNotification(f"{action!r} must have a url.")
    return url


def _label(action: Action) -> str:
    label = _text("In actions: label", action.label, MAX_LABEL)
    if not label.strip():
        raise InvalidNotification(f"The action with the url {action.url} must have a label.")
    return label


def _action(action: Any) -> Action:
    try:
        return Action(**action)
    except TypeError:
        raise InvalidNotification(
            f"actions contains {action!r}. Each action must be a notify.Action(label, url), or a mapping"
            " with these keys."
        ) from None


def _count(count: Any, key: Any) -> bool:
    if not isinstance(count, bool):
        raise InvalidNotification(
            f"count must be True or False, not {count!r}: notify itself counts the sends with a key."
        )
    if count and not key:
        raise InvalidNotification("count=True needs a key: it counts the sends with the same key.")
    return count


def _data(data: Any) -> Any:
    if data is None:
        return None
    try:
        text = json.dumps(data, allow_nan=False)
        # A copy, because the caller may change the object before the commit.
        copy = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidNotification(
            f"data cannot be stored as JSON: {error}. Use dicts, lists, strings and numbers."
        ) from error
    if len(text) > MAX_DATA_BYTES:
        raise InvalidNotification(
            f"data has {len(text)} bytes as JSON; at most {MAX_DATA_BYTES} are allowed."
            " Store it in a model of your own, and pass its primary key instead."
        )
    _check_data(copy)
    return copy


def _check_data(data: Any, depth: int = 0) -> None:
    """Reject JSON that one of the supported databases cannot store."""
    if depth > MAX_DATA_DEPTH:
        raise InvalidNotification(f"data must not be nested deeper than {MAX_DATA_DEPTH} levels.")
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
