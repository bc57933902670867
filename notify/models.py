"""The two tables, and the words in which the rest of notify speaks about them."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connections, models, router
from django.db.models import Case, Count, F, Max, Min, Q, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from notify import protocol
from notify.conf import conf
from notify.protocol import Counts, Cursor, Level, State

MAX_TITLE = 200
MAX_MESSAGE = 2000
MAX_JOB = 200
MAX_URL = 2000
MAX_KEY = 100
MAX_CATEGORY = 50
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")  # NUL and lone surrogates: no text for a database


def database() -> str:
    """Alias of the database that holds notify's tables: for writes, and for the push side's reads."""
    return router.db_for_write(Notification)


def all_users() -> models.QuerySet[Any]:
    """Every user, on the same database; a manager of the project may hide some."""
    return get_user_model()._base_manager.using(database()).order_by()


class MailboxQuerySet(models.QuerySet["Mailbox"]):
    def ensure(self, recipients: Collection[Any]) -> None:
        """
        Make the mailboxes that are missing, each from the rows that its recipient has.

        Call it before the transaction that locks them: made inside it, concurrent senders to new
        users deadlock. Without a mailbox no row gains or loses a position, so what is counted
        here still holds when the mailbox is inserted.
        """
        standing = set(self.filter(pk__in=recipients).values_list("pk", flat=True))
        missing = sorted(set(recipients) - standing)
        if not missing:
            return
        rows = Notification.objects.using(self.db).published().filter(recipient__in=missing)
        tallies = rows.values("recipient_id").annotate(
            head=Max("position"),
            unseen=Count("pk", filter=Q(seen_at=None, archived_at=None)),
            unread=Count("pk", filter=Q(read_at=None, archived_at=None)),
            due=Min("expires_at", filter=Q(archived_at=None)),
        )
        known: dict[Any, dict[str, Any]] = {
            tally.pop("recipient_id"): tally for tally in map(dict, tallies)
        }
        self.bulk_create(
            [Mailbox.starting(pk, **known.get(pk, {})) for pk in missing], ignore_conflicts=True
        )

    def lock(self, recipients: Collection[Any]) -> list[Mailbox]:
        """
        Lock these mailboxes, in the order of their keys, until the transaction ends.

        A database without row locks (SQLite) has one writer; there the transaction begins with a
        write, which waits for that writer, where a read first would fail later.
        """
        chosen = self.filter(pk__in=recipients)
        if not connections[self.db].features.has_select_for_update:
            chosen.update(head=F("head"))
        return list(chosen.order_by("pk").select_for_update())

    def advance(self, expires: datetime | None) -> int:
        """Raise the heads of these mailboxes, which are locked, for one new notification each."""
        due = {"due": Case(When(due__lt=expires, then="due"), default=expires)} if expires else {}
        return self.update(
            head=F("head") + 1, unseen=F("unseen") + 1, unread=F("unread") + 1, **due
        )


class Mailbox(models.Model):
    """
    One recipient's positions and counts.

    The model is IMAP's CONDSTORE and QRESYNC (RFC 7162): each change of a notification takes the
    next position of its mailbox, and a reader asks what changed since the position it knows.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="notify_mailbox",
        db_constraint=False,  # a constraint locks the user's row until the sender commits (ADR 0002)
    )
    epoch = models.CharField(_("epoch"), max_length=protocol.EPOCH_LENGTH)
    head = models.BigIntegerField(_("head"), default=0)  # position of the newest published change
    floor = models.BigIntegerField(_("floor"), default=0)  # what was at or below may be pruned
    unseen = models.IntegerField(_("unseen"), default=0)
    unread = models.IntegerField(_("unread"), default=0)
    due = models.DateTimeField(_("due"), null=True, blank=True)  # the earliest expiry

    objects = MailboxQuerySet.as_manager()

    class Meta:
        verbose_name = _("mailbox")
        verbose_name_plural = _("mailboxes")

    def __str__(self) -> str:
        return f"mailbox of {self.pk} at {self.cursor}"

    @classmethod
    def starting(cls, user: Any, head: int = 0, **tally: Any) -> Mailbox:
        """A mailbox for a user who may have rows already: nothing below its head can be told apart."""
        return cls(user_id=user, epoch=protocol.new_epoch(), head=head, floor=head, **tally)

    @property
    def cursor(self) -> Cursor:
        """The cursor of a reader who knows everything."""
        return Cursor(self.epoch, self.head)

    @property
    def counts(self) -> Counts:
        return Counts(self.unseen, self.unread)


class NotificationQuerySet(models.QuerySet["Notification"]):
    def waiting(self) -> NotificationQuerySet:
        """The outbox: stored, not yet published."""
        return self.filter(position=None)

    def published(self) -> NotificationQuerySet:
        """Rows that have a position, which readers can see."""
        return self.exclude(position=None)

    def unarchived(self) -> NotificationQuerySet:
        """Rows that count and that an inbox shows."""
        return self.filter(archived_at=None)


class Notification(models.Model):
    """A notification for one recipient. Without a position it is in the outbox."""

    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("recipient"),
        on_delete=models.CASCADE,
        related_name="notify_notifications",
        db_constraint=False,  # as Mailbox.user
        db_index=False,  # the unique constraint below begins with it
    )
    # The position of its last change, and the position at which its content last came.
    position = models.BigIntegerField(_("position"), null=True, editable=False)
    arrived = models.BigIntegerField(_("arrived"), null=True, editable=False)

    level = models.CharField(
        _("level"),
        max_length=10,
        choices=[(level.value, level.value) for level in Level],
        default=Level.INFO.value,
    )
    category = models.CharField(_("category"), max_length=MAX_CATEGORY, blank=True, default="")
    title = models.CharField(_("title"), max_length=MAX_TITLE, blank=True, default="")
    message = models.CharField(_("message"), max_length=MAX_MESSAGE)
    url = models.CharField(_("URL"), max_length=MAX_URL, blank=True, default="")
    actions = models.JSONField(_("actions"), blank=True, default=list)
    data = models.JSONField(_("data"), null=True, blank=True)
    progress = models.JSONField(_("progress"), null=True, blank=True, editable=False)  # as shown
    collapse_key = models.CharField(_("key"), max_length=MAX_KEY, blank=True, default="")
    count = models.PositiveIntegerField(_("count"), default=1)

    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    seen_at = models.DateTimeField(_("seen at"), null=True, blank=True)
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)
    archived_at = models.DateTimeField(_("archived at"), null=True, blank=True)
    dismissed_at = models.DateTimeField(_("dismissed at"), null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        constraints = [
            models.UniqueConstraint(fields=["recipient", "position"], name="notify_position_unique")
        ]
        indexes = [models.Index(fields=["recipient", "collapse_key"], name="notify_collapse_key")]

    def __str__(self) -> str:
        return self.title or self.message[:80]

    def encode(self) -> str:
        """This row as the JSON object of the wire."""
        progress = {} if self.progress is None else {"progress": self.progress}
        return protocol.dumps(
            {
                "id": self.pk,
                "position": self.position,
                "arrived": self.arrived,
                "level": self.level,
                "category": self.category,
                "title": self.title,
                "message": self.message,
                "url": self.url,
                "actions": self.actions,
                "data": self.data,
                "key": self.collapse_key,
                "count": self.count,
                "created_at": timestamp(self.created_at),
                "updated_at": timestamp(self.updated_at),
                "expires_at": timestamp(self.expires_at),
                "seen_at": timestamp(self.seen_at),
                "read_at": timestamp(self.read_at),
                "archived_at": timestamp(self.archived_at),
                "dismissed_at": timestamp(self.dismissed_at),
                **progress,
            }
        )


class ProgressQuerySet(models.QuerySet["Progress"]):
    def stale(self) -> ProgressQuerySet:
        """Those of which nothing was heard for so long that their readers are to be told."""
        now = timezone.now()
        silent = now - timedelta(seconds=conf.PROGRESS_SILENT_AFTER)
        lost = now - timedelta(seconds=conf.PROGRESS_LOST_AFTER)
        running = Q(state__in=[State.RUNNING.value, State.CANCELLING.value])
        live = running | Q(state=State.QUEUED.value)  # a queue may be long: it is never lost
        return self.filter(
            live & Q(beat_at__lt=silent, is_silent=False) | running & Q(beat_at__lt=lost)
        )


class Progress(models.Model):
    """
    What the house has to know of a task beside its notification, which shows how far it is.

    Only of what was started as progress: other notifications have none.
    """

    notification = models.OneToOneField(
        Notification,
        verbose_name=_("notification"),
        # Nothing follows it: whoever deletes notifications, in thousands, need not look here.
        on_delete=models.DO_NOTHING,
        primary_key=True,
        related_name="run",
        db_constraint=False,
    )
    recipient = models.ForeignKey(  # of the notification: each reader looks whether one of its own is silent
        settings.AUTH_USER_MODEL,
        verbose_name=_("recipient"),
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,  # the index below begins with it
    )
    state = models.CharField(
        _("state"),
        max_length=10,
        choices=[(state.value, state.value) for state in State],
        default=State.RUNNING.value,
    )
    attempt = models.PositiveIntegerField(_("attempt"), default=1)
    beat_at = models.DateTimeField(_("last sign of life"), default=timezone.now)
    is_silent = models.BooleanField(_("silent"), default=False)  # and its reader was told so
    cancel_asked = models.BooleanField(_("asked to end"), default=False)
    detail = models.TextField(_("detail"), blank=True, default="")  # for the staff: a traceback
    # What a task queue calls it, as "celery:<id>"; many processes speak of one task by this.
    job = models.CharField(_("job"), max_length=MAX_JOB, blank=True, default="")

    objects = ProgressQuerySet.as_manager()

    class Meta:
        verbose_name = _("progress")
        verbose_name_plural = _("progress")
        indexes = [
            models.Index(fields=["recipient", "state", "beat_at"], name="notify_progress_beat"),
            models.Index(fields=["job"], name="notify_progress_job"),
        ]

    def __str__(self) -> str:
        return f"progress of notification {self.pk}: {self.state}"


class ProgressPart(models.Model):
    """One of the jobs that make up a task together has finished; gone when the task has."""

    progress = models.ForeignKey(
        Progress,
        verbose_name=_("progress"),
        on_delete=models.DO_NOTHING,
        related_name="parts",
        db_constraint=False,
        db_index=False,  # the constraint below begins with it
    )
    job = models.CharField(_("job"), max_length=MAX_JOB)

    class Meta:
        verbose_name = _("part of a progress")
        verbose_name_plural = _("parts of progress")
        constraints = [
            models.UniqueConstraint(fields=["progress", "job"], name="notify_part_once"),
        ]

    def __str__(self) -> str:
        return f"{self.job} of notification {self.progress_id}"


def timestamp(moment: datetime | None) -> str | None:
    """A moment as ISO 8601 in UTC; without USE_TZ it is in Django's time zone."""
    if moment is None:
        return None
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone())
    return moment.astimezone(UTC).isoformat()
