"""
The content of a notification: texts, links and limits, validated and prepared for storage.

Invalid arguments raise an exception here, before anything is stored. The message names the argument
and, where one helps, suggests a correction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.messages import constants
from django.utils import timezone, translation
from django.utils.functional import Promise

from notify.conf import conf
from notify.db import all_users, batches
from notify.exceptions import InvalidNotification
from notify.models import (
    MAX_CATEGORY,
    MAX_KEY,
    MAX_MESSAGE,
    MAX_TITLE,
    Notification,
)
from notify.protocol import Level
from notify.sending import actions, languages, links
from notify.sending.actions import Action
from notify.sending.values import checked_data, checked_expiry, checked_text, checked_url

LEVELS: dict[Any, str] = {level.value: level.value for level in Level} | {
    getattr(constants, level.name): level.value for level in Level
}


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
    group: str = ""
    image: Any = ""
    toast: bool = True
    expires: Any = None
    origin: str = ""  # the tab that shows the toast, if not all do

    def checked(self) -> Content:
        """
        Returns a copy in which every value that does not depend on a language has been validated.

        Raises:
            InvalidNotification: if a value cannot be stored.
        """
        return Content(
            message=self.message,
            title=self.title,
            level=checked_level(self.level),
            category=checked_text("category", self.category, MAX_CATEGORY),
            url=self.url,
            actions=actions.checked(self.actions),
            data=checked_data(self.data),
            key=checked_text("key", self.key, MAX_KEY),
            count=_count(self.count, self.key),
            group=checked_text("group", self.group, MAX_KEY),
            image=self.image,
            toast=_toast(self.toast),
            expires=checked_expiry(self.expires),
            origin=self.origin,
        )

    @property
    def depends_on_language(self) -> bool:
        """Returns whether a text is a lazy translation or a link is unresolved."""
        given = [action for action in self.actions if isinstance(action, Action)]
        texts = [self.message, self.title]
        urls = [self.url, self.image]
        for action in given:
            texts += [action.label, action.confirm]
            urls.append(action.url)
        return any(isinstance(text, Promise) for text in texts) or not all(map(links.is_url, urls))

    def render(self) -> Notification:
        """Returns an unsaved notification without a recipient, rendered in the active language."""
        message = checked_text("message", self.message, MAX_MESSAGE)
        if not message.strip():
            raise InvalidNotification(
                "message must not be empty. Write a sentence about what happened."
            )
        given = [actions.stored(each) for each in self.actions if isinstance(each, Action)]
        now = timezone.now()
        return Notification(
            level=self.level,
            category=self.category,
            title=checked_text("title", self.title, MAX_TITLE),
            message=message,
            url=checked_url("url", self.url),
            actions=given,
            data=self.data,
            collapse_key=self.key,
            is_counted=self.count,
            group=self.group,
            image=_image(self.image),
            has_toast=self.toast,
            origin=self.origin,
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
    language_of = languages.resolver()
    codes: dict[Any, str | None] = {}
    users = all_users()
    for batch in batches(recipient_ids):
        codes.update((user.pk, language_of(user)) for user in users.filter(pk__in=batch))
    by_language: dict[str, list[Any]] = {}
    for pk in recipient_ids:
        by_language.setdefault(codes.get(pk) or settings.LANGUAGE_CODE, []).append(pk)
    rendered = []
    for language, readers in by_language.items():
        with translation.override(language):
            rendered.append((content.render(), readers))
    return rendered


def checked_level(level: Any) -> str:
    """Returns the name of a level, given as such or as a constant of ``django.contrib.messages``."""
    try:
        return LEVELS[level]
    except (KeyError, TypeError):
        names = ", ".join(known.value for known in Level)
        raise InvalidNotification(
            f"level={level!r} is not a valid level. Use one of {names}, or a constant of"
            " django.contrib.messages."
        ) from None


def _image(value: Any) -> str:
    url = checked_url("image", value)
    if url[:7].lower() == "mailto:":
        raise InvalidNotification(
            f"image={value!r} is not the URL of an image. Use http or https, or a path of this site."
        )
    return url


def _count(count: Any, key: Any) -> bool:
    if not isinstance(count, bool):
        raise InvalidNotification(
            f"count must be True or False, not {count!r}: notify itself counts the sends with a key."
        )
    if count and not key:
        raise InvalidNotification("count=True needs a key: it counts the sends with the same key.")
    return count


def _toast(toast: Any) -> bool:
    if not isinstance(toast, bool):
        raise InvalidNotification(
            f"toast must be True or False, not {toast!r}. With False, the notification appears only in"
            " the badge and the inbox."
        )
    return toast
