"""
Copies the notifications of django-notifications-hq, or of its fork django-notifications-community.

A copy has a key that is made from the primary key of its original, so a later run recognizes what has been
copied. Copies enter at the head of their mailbox, in the order of the originals' timestamps.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import DatabaseError, models

from notify.db import PUBLISH_BATCH_SIZE, database, is_lock_timeout, tries_again
from notify.exceptions import InvalidNotification
from notify.mailbox.change import locked
from notify.models import MAX_TITLE, MAX_URL, Mailbox, Notification
from notify.protocol import Level
from notify.sending import links
from notify.sending.values import checked_data, shortened

SETTING = "NOTIFICATIONS_NOTIFICATION_MODEL"  # names the model of a project that has swapped it
KEY = "notifications:{}"  # the key of a copy
ROLES = ("actor", "action_object", "target")


@dataclass(slots=True)
class Copied:
    """
    The result of a run.

    Attributes:
        copied: notifications that were copied, or would be.
        present: notifications that an earlier run had copied.
        deleted: notifications that were left out because their user has deleted them.
        users: users who got copies.
        without_data: copies without the data of their original, which cannot be stored.
        without_url: copies without a link, because the address is relative or too long.
        failed: users who were left out because another transaction had locked their mailbox.
    """

    copied: int = 0
    present: int = 0
    deleted: int = 0
    users: int = 0
    without_data: int = 0
    without_url: int = 0
    failed: int = 0


@dataclass(slots=True)
class Copying:
    """
    A run of the import.

    Attributes:
        since: copy only what is not older than this.
        with_deleted: copy also what users have deleted, into their archive.
        with_urls: link each copy to its target.
        dry_run: change nothing.
        batch_size: rows in one transaction.
    """

    since: datetime | None = None
    with_deleted: bool = False
    with_urls: bool = False
    dry_run: bool = False
    batch_size: int = PUBLISH_BATCH_SIZE

    def run(self) -> Copied:
        """
        Copy the notifications of one user after the other.

        Raises:
            ImproperlyConfigured: if the package is not installed.
        """
        done = Copied()
        originals = model_of_the_package()._base_manager.order_by()
        if self.since is not None:
            originals = originals.filter(timestamp__gte=self.since)
        recipients = originals.order_by("recipient_id").values_list("recipient_id", flat=True)
        for recipient_id in list(recipients.distinct()):
            mine = originals.filter(recipient_id=recipient_id)
            if not self.with_deleted:
                done.deleted += mine.filter(deleted=True).count()
                mine = mine.filter(deleted=False)
            before = done.copied
            try:
                for rows in self._batches(mine):
                    self._copy(recipient_id, rows, done)
            except DatabaseError as error:
                if not is_lock_timeout(error):
                    raise
                done.failed += 1
            done.users += done.copied > before
        return done

    def _batches(self, originals: models.QuerySet[Any]) -> Iterator[list[Any]]:
        ids = list(originals.order_by("timestamp", "pk").values_list("pk", flat=True))
        for start in range(0, len(ids), self.batch_size):
            rows = originals.in_bulk(ids[start : start + self.batch_size])
            yield list(rows.values())

    def _copy(self, recipient_id: Any, originals: list[Any], done: Copied) -> None:
        ordered = sorted(originals, key=lambda row: (row.timestamp, row.pk))
        known = present(recipient_id, map(key_of, ordered))
        done.present += len(known)
        fresh = [row for row in ordered if key_of(row) not in known]
        objects = objects_of(fresh)
        copies = [self._converted(row, objects, done) for row in fresh]
        if copies and not self.dry_run:
            Mailbox.objects.using(database()).ensure([recipient_id])
            stored = store(recipient_id, copies)
            done.present += len(copies) - stored
            done.copied += stored
        else:
            done.copied += len(copies)

    def _converted(
        self, original: Any, objects: dict[tuple[Any, str], Any], done: Copied
    ) -> Notification:
        parts = {role: objects.get(reference(original, role)) for role in ROLES}
        sentence = sentence_of(original.verb, **parts)
        description = f"{original.description or ''}".strip()
        url = self._url(parts, done) if self.with_urls else ""
        moment = original.timestamp
        read_at = None if original.unread else moment
        return Notification(
            recipient_id=original.recipient_id,
            level=original.level if original.level in list(Level) else Level.INFO.value,
            title=shortened(sentence, MAX_TITLE) if description else "",
            message=shortened(description or sentence),
            url=url,
            data=_data(original, done),
            collapse_key=key_of(original),
            has_toast=False,
            created_at=moment,
            updated_at=moment,
            seen_at=read_at,
            read_at=read_at,
            archived_at=moment if original.deleted else None,
        )

    def _url(self, parts: dict[str, Any], done: Copied) -> str:
        for role in ("target", "action_object"):
            address = getattr(parts[role], "get_absolute_url", None)
            url = f"{address()}" if address else ""
            if url and links.is_url(url) and len(url) <= MAX_URL:
                return url
            done.without_url += bool(url)
        return ""


def model_of_the_package() -> Any:
    """
    Returns the model whose rows are copied; a project may have swapped it.

    Raises:
        ImproperlyConfigured: if the package is not installed.
    """
    name = getattr(settings, SETTING, "notifications.Notification")
    try:
        return apps.get_model(name)
    except (LookupError, ValueError) as error:
        raise ImproperlyConfigured(
            f"There is no model {name!r} to copy from. Keep django-notifications-hq or"
            " django-notifications-community installed, and 'notifications' in INSTALLED_APPS, until its"
            " notifications have been copied."
        ) from error


def key_of(original: Any) -> str:
    """Returns the key of the copy of a notification."""
    return KEY.format(original.pk)


def present(recipient_id: Any, keys: Iterable[str]) -> set[str]:
    """Returns those of the keys that notifications of the user have, whether archived or not."""
    rows = Notification.objects.using(database()).filter(recipient=recipient_id)
    named = rows.filter(collapse_key__in=list(keys))
    return set(named.values_list("collapse_key", flat=True))


@tries_again
def store(recipient_id: Any, copies: Sequence[Notification]) -> int:
    """
    Insert the copies that are still missing at the head of the mailbox. Returns their number.

    No signal is emitted, because a receiver that sends e-mail would send it for old notifications.
    """
    with locked([recipient_id], emits=False) as change:
        # Read under the lock, so that two runs at the same time copy nothing twice.
        known = present(recipient_id, [row.collapse_key for row in copies])
        rows = [row for row in copies if row.collapse_key not in known]
        if change.mailbox is None:  # the user has been deleted
            return 0
        change.mailbox.lists_rows = False
        for row in rows:
            change.mailbox.add(row)
        Notification.objects.using(change.using).bulk_create(rows)
    return len(rows)


def sentence_of(verb: str, actor: Any, action_object: Any, target: Any) -> str:
    """
    Returns the text as the package writes it, without the time: "alice closed issue 7 on notify".

    Objects that have been deleted are left out.
    """
    words = [actor, verb, action_object]
    words += ["on", target] if action_object is not None and target is not None else [target]
    return " ".join(f"{word}" for word in words if word is not None)


def reference(original: Any, role: str) -> tuple[Any, str]:
    """Returns the content type and the primary key of an object, which identify it without a query."""
    return (
        getattr(original, f"{role}_content_type_id"),
        str(getattr(original, f"{role}_object_id")),
    )


def objects_of(originals: Iterable[Any]) -> dict[tuple[Any, str], Any]:
    """
    Returns the objects of the notifications by their references, with one query for each model.

    Objects and models that no longer exist are missing.
    """
    from django.contrib.contenttypes.models import ContentType  # installed wherever the package is

    named: dict[Any, set[str]] = defaultdict(set)
    for original in originals:
        for role in ROLES:
            type_id, pk = reference(original, role)
            if type_id is not None:
                named[type_id].add(pk)
    found = {}
    for type_id, texts in named.items():
        model = ContentType.objects.get_for_id(type_id).model_class()
        if model is None:
            continue
        pks = {pk: text for text in texts if (pk := _pk(model, text)) is not None}
        for pk, instance in model._base_manager.in_bulk(list(pks)).items():
            found[type_id, pks[pk]] = instance
    return found


def _pk(model: type[models.Model], text: str) -> Any:
    """Returns the primary key that the text stands for, or None if the model has no such key."""
    field: Any = model._meta.pk
    try:
        return field.to_python(text)
    except ValidationError:
        return None


def _data(original: Any, done: Copied) -> dict[str, Any]:
    """Returns the data of a copy: the original's own, and to which objects it referred."""
    origin: dict[str, Any] = {"id": str(original.pk), "verb": original.verb}
    for role in ROLES:
        type_id, pk = reference(original, role)
        if type_id is not None:
            origin[role] = {"model": _label(type_id), "pk": pk}
    theirs = original.data
    if isinstance(theirs, str):  # earlier versions store JSON as text
        theirs = _parsed(theirs)
    given = theirs if isinstance(theirs, dict) else {"data": theirs} if theirs else {}
    try:
        data: dict[str, Any] = checked_data({**given, "notification": origin})
    except InvalidNotification:
        done.without_data += 1
        return {"notification": origin}
    return data


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _label(type_id: Any) -> str:
    from django.contrib.contenttypes.models import ContentType

    found = ContentType.objects.get_for_id(type_id)
    return f"{found.app_label}.{found.model}"
