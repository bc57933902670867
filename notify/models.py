"""The five models of notify, and the querysets through which other modules use them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from django.conf import settings
from django.db import connections, models
from django.db.models import Count, F, Max, Min, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from notify import encoding, mac, protocol
from notify.indexes import ListIndex
from notify.protocol import Counts, Cursor, Level, TaskState

MAX_TITLE = 200
MAX_MESSAGE = 2000
MAX_JOB = 200
MAX_URL = 2000
MAX_KEY = 100
MAX_CATEGORY = 50
# The lists of the inbox: the rows of each, and what its index begins with where there are no partial indexes.
# Expired and retracted notifications are in none.
LISTS: dict[str, tuple[Q, list[str]]] = {
    "all": (Q(archived_at=None), ["archived_at"]),
    "unread": (Q(archived_at=None, read_at=None), ["read_at"]),
    "archived": (
        Q(archived_at__isnull=False) & (Q(expires_at=None) | Q(expires_at__gt=F("archived_at"))),
        [],
    ),
}
LEVEL_NAMES = {
    Level.DEBUG.value: _("Debug"),
    Level.INFO.value: _("Information"),
    Level.SUCCESS.value: _("Success"),
    Level.WARNING.value: _("Warning"),
    Level.ERROR.value: _("Error"),
}
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")  # NUL and lone surrogates, which databases reject


class MailboxQuerySet(models.QuerySet["Mailbox"]):
    def ensure(self, recipients: Collection[Any]) -> None:
        """
        Create the mailboxes that are missing, with counts from the existing rows of their users.

        Call this before the transaction that locks the mailboxes. If that transaction created them,
        concurrent sends to new users would deadlock. As long as a user has no mailbox, their rows
        neither gain nor lose positions, so these counts are still correct on insertion.
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
        Lock these mailboxes until the transaction ends, in the order of their primary keys.

        A database without row locks (SQLite) allows one writer at a time. There, the transaction
        begins with a write, which waits until any other writer has finished. If it began with a read, a
        later write would fail instead of waiting.
        """
        chosen = self.filter(pk__in=recipients)
        if not connections[self.db].features.has_select_for_update:
            chosen.update(head=F("head"))
        return list(chosen.order_by("pk").select_for_update())


class Mailbox(models.Model):
    """
    The head, counts and epoch of one recipient.

    The design follows CONDSTORE and QRESYNC of IMAP (RFC 7162): each change to a notification takes
    the next position of its mailbox, and a reader requests the changes since the last position that
    it knows.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="notify_mailbox",
        db_constraint=False,  # a constraint would lock the user's row until the sender commits (ADR 0002)
    )
    epoch = models.CharField(_("epoch"), max_length=protocol.EPOCH_LENGTH)
    head = models.BigIntegerField(_("head"), default=0)  # position of the newest published change
    floor = models.BigIntegerField(_("floor"), default=0)  # history up to it may have been pruned
    unseen = models.IntegerField(_("unseen"), default=0)
    unread = models.IntegerField(_("unread"), default=0)
    due = models.DateTimeField(_("next expiry"), null=True, blank=True)  # of its notifications

    objects = MailboxQuerySet.as_manager()

    class Meta:
        verbose_name = _("mailbox")
        verbose_name_plural = _("mailboxes")

    def __str__(self) -> str:
        return f"mailbox of {self.pk} at {self.cursor}"

    @classmethod
    def starting(cls, user: Any, head: int = 0, **tally: Any) -> Mailbox:
        """
        Returns an unsaved mailbox for a user who may already have rows.

        The floor is the head, because it is not known what changed at or below that position.
        """
        return cls(user_id=user, epoch=mac.new_epoch(user), head=head, floor=head, **tally)

    @classmethod
    def of_columns(cls, values: Sequence[Any]) -> Mailbox | None:
        """Builds a mailbox from the ``BOX_COLUMNS`` of a joined row; None if the user has no mailbox."""
        names = [field.attname for field in cls._meta.concrete_fields]
        return None if values[0] is None else cls.from_db(None, names, values)

    @property
    def cursor(self) -> Cursor:
        """Returns the cursor of a reader that is up to date."""
        return Cursor(self.epoch, self.head)

    @property
    def counts(self) -> Counts:
        return Counts(self.unseen, self.unread)


# The columns of a mailbox, in the order in which a join from the user selects them.
BOX_COLUMNS = tuple(field.name for field in Mailbox._meta.concrete_fields)


class NotificationQuerySet(models.QuerySet["Notification"]):
    def waiting(self) -> NotificationQuerySet:
        """Returns the outbox: rows that are stored but not yet published."""
        return self.filter(position=None)

    def published(self) -> NotificationQuerySet:
        """Returns the rows that have a position, which makes them visible to readers."""
        return self.exclude(position=None)

    def unarchived(self) -> NotificationQuerySet:
        """Returns the rows that are included in the counts and shown in an inbox."""
        return self.filter(archived_at=None)


class Notification(models.Model):
    """A notification for one recipient. It is in the outbox as long as it has no position."""

    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("recipient"),
        on_delete=models.CASCADE,
        related_name="notify_notifications",
        db_constraint=False,  # for the reason given at Mailbox.user
        db_index=False,  # the unique constraint below begins with this column
    )
    # The position of the last change, and the position at which the content last arrived.
    position = models.BigIntegerField(_("position"), null=True, editable=False)
    arrived = models.BigIntegerField(_("arrived"), null=True, editable=False)

    level = models.CharField(
        _("level"),
        max_length=10,
        choices=list(LEVEL_NAMES.items()),
        default=Level.INFO.value,
    )
    category = models.CharField(_("category"), max_length=MAX_CATEGORY, blank=True, default="")
    title = models.CharField(_("title"), max_length=MAX_TITLE, blank=True, default="")
    message = models.CharField(_("message"), max_length=MAX_MESSAGE)
    url = models.CharField(_("URL"), max_length=MAX_URL, blank=True, default="")
    actions = models.JSONField(_("actions"), blank=True, default=list)
    data = models.JSONField(_("data"), null=True, blank=True)
    progress = models.JSONField(_("progress"), null=True, blank=True, editable=False)  # of a task
    collapse_key = models.CharField(_("key"), max_length=MAX_KEY, blank=True, default="")
    group = models.CharField(_("group"), max_length=MAX_KEY, blank=True, default="")
    image = models.CharField(_("image"), max_length=MAX_URL, blank=True, default="")
    has_toast = models.BooleanField(_("toast"), default=True)  # otherwise in badge and inbox alone
    # The tab whose request sent it, if the other tabs show no toast (NOTIFY_ECHO).
    origin = models.CharField(_("origin"), max_length=32, blank=True, default="", editable=False)
    count = models.PositiveIntegerField(_("count"), default=1)
    # True if this content adds to the count of the row into which it is merged; otherwise it sets it to 1.
    is_counted = models.BooleanField(_("counted"), default=False, editable=False)

    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    seen_at = models.DateTimeField(_("seen at"), null=True, blank=True)
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)
    archived_at = models.DateTimeField(_("archived at"), null=True, blank=True)
    dismissed_at = models.DateTimeField(_("dismissed at"), null=True, blank=True)
    # When the user took one of the actions that run a handler, and what that handler returned.
    acted_at = models.DateTimeField(_("acted at"), null=True, blank=True)
    outcome = models.JSONField(_("outcome"), null=True, blank=True, editable=False)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        constraints = [
            models.UniqueConstraint(fields=["recipient", "position"], name="notify_position_unique")
        ]
        indexes = [
            models.Index(fields=["recipient", "collapse_key"], name="notify_collapse_key"),
            *(
                ListIndex(
                    fields=["recipient", "arrived"],
                    name=f"notify_list_{view}",
                    where=where,
                    instead=["recipient", *instead, "arrived"],
                )
                for view, (where, instead) in LISTS.items()
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.message[:80]

    def encode(self) -> str:
        """Returns this row as a JSON object of the wire protocol."""
        return encoding.encode(self)


class TaskRecord(models.Model):
    """
    A task's bookkeeping, which readers never see: beat, attempt, cancel request, traceback.

    Only the notifications of tasks have such a record. ``Notification.progress`` holds what readers see
    of a task.
    """

    notification = models.OneToOneField(
        Notification,
        verbose_name=_("notification"),
        # A cascade would query the tasks of every notification that is deleted.
        on_delete=models.DO_NOTHING,
        primary_key=True,
        related_name="task",
        db_constraint=False,
    )
    # Copied from the notification, because each reader checks for silent tasks of its user.
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("recipient"),
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,  # the index below begins with this column
    )
    state = models.CharField(
        _("state"),
        max_length=10,
        choices=[(state.value, state.value) for state in TaskState],
        default=TaskState.RUNNING.value,
    )
    attempt = models.PositiveIntegerField(_("attempt"), default=1)
    beat_at = models.DateTimeField(_("last heartbeat"), default=timezone.now)
    is_silent = models.BooleanField(_("silent"), default=False)  # and its user has been shown that
    cancel_asked = models.BooleanField(_("cancellation requested"), default=False)
    detail = models.TextField(_("detail"), blank=True, default="")  # a traceback, for staff only
    # The name of the job in a task queue, such as "celery:<id>". Several processes find this row by it.
    job = models.CharField(_("job"), max_length=MAX_JOB, blank=True, default="")

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        indexes = [
            models.Index(fields=["recipient", "state", "beat_at"], name="notify_task_beat"),
            models.Index(fields=["job"], name="notify_task_job"),
        ]

    def __str__(self) -> str:
        return f"task of notification {self.pk}: {self.state}"


class ActionRecord(models.Model):
    """
    The bookkeeping of a notification whose action was taken, which readers never see.

    A handler runs while this row is locked, so that two clicks run it once. The mailbox cannot be locked for
    that: it would keep every send to the user waiting, and the sends of the handler itself.
    """

    notification = models.OneToOneField(
        Notification,
        verbose_name=_("notification"),
        on_delete=models.DO_NOTHING,  # for the reason given at TaskRecord.notification
        primary_key=True,
        related_name="action_record",
        db_constraint=False,
    )
    detail = models.TextField(_("detail"), blank=True, default="")  # a traceback, for staff only

    class Meta:
        verbose_name = _("action taken")
        verbose_name_plural = _("actions taken")

    def __str__(self) -> str:
        return f"action of notification {self.pk}"


class TaskPart(models.Model):
    """A finished job of a task that consists of several jobs. It is deleted when the task ends."""

    task = models.ForeignKey(
        TaskRecord,
        verbose_name=_("task"),
        on_delete=models.DO_NOTHING,
        related_name="parts",
        db_constraint=False,
        db_index=False,  # the constraint below begins with this column
    )
    job = models.CharField(_("job"), max_length=MAX_JOB)

    class Meta:
        verbose_name = _("part of a task")
        verbose_name_plural = _("parts of tasks")
        constraints = [
            models.UniqueConstraint(fields=["task", "job"], name="notify_part_once"),
        ]

    def __str__(self) -> str:
        return f"{self.job} of notification {self.task_id}"
