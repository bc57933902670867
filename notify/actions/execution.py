"""
Runs the handler of an action: once, and in one transaction with the notification.

The transaction locks the ``ActionRecord`` of the notification first, then runs the handler, and locks the
mailbox last, to give the notification its next position. No change to a mailbox waits for such a record,
nor for a row of the site, so acts and other changes cannot wait for each other in a circle (ADR 0036).
"""

from __future__ import annotations

import inspect
import traceback
from copy import deepcopy
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError, connections, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from notify import handlers, signals
from notify.actions import outcomes
from notify.db import all_users, commits_by_hand, database, is_deadlock, tries_again
from notify.exceptions import ActionFailed, ActionGone
from notify.handlers import Outcome
from notify.mailbox import marks
from notify.mailbox.change import locked
from notify.models import ActionRecord, Mailbox, Notification
from notify.protocol import Cursor, Shown
from notify.sending import languages


class Acted(NamedTuple):
    """
    The cursor at which the outcome shows, and the outcome.

    Without an outcome, the command named another epoch than that of the cursor, and nothing was run.
    """

    cursor: Cursor
    outcome: Outcome | None


def run(recipient_id: Any, shown: Shown, index: int, *, epoch: str | None = None) -> Acted:
    """
    Take an action of a notification of one user.

    If an action of this content has been taken before, its outcome is returned, and nothing is run.

    Args:
        recipient_id: primary key of the user, who must be the recipient.
        shown: ``(id, arrived)`` as shown.
        index: the index of the action in the notification's ``actions``.
        epoch: the epoch in which it was shown; ``None``: it is known to be that of the mailbox.

    Raises:
        ActionGone: the action cannot be taken. The message is meant for the user.
        ActionFailed: the handler raised the exception that is the cause. The message is meant for the user.
        DatabaseError: the database failed. The command may be sent again.
    """
    user = all_users().filter(pk=recipient_id).first()
    if user is None:
        raise _gone()
    with languages.in_language_of(user):
        box = Mailbox.objects.using(database()).filter(pk=recipient_id).first()
        if box is None:
            raise _gone()
        if epoch not in (None, box.epoch):
            return Acted(box.cursor, None)
        act = _Act(user, shown, index)
        act.read()
        if act.outcome is None:
            # Before the transaction, as two that insert the same record could wait for each other.
            records = ActionRecord.objects.using(act.using)
            records.bulk_create([ActionRecord(notification_id=shown[0])], ignore_conflicts=True)
            try:
                return act.run()
            except ActionFailed as failure:
                act.report(failure.__cause__)
                raise
        return Acted(Cursor(box.epoch, act.row.position or 0), act.outcome)


class _Act:
    """
    One attempt to take an action.

    Attributes:
        row: the notification, as the handler gets it.
        outcome: of an action that has been taken before; ``None`` if none has been taken.
    """

    row: Notification

    def __init__(self, user: Any, shown: Shown, index: int) -> None:
        self.user = user
        self.id, self.arrived = shown
        self.index = index
        self.using = database()
        self.rows = Notification.objects.using(self.using).filter(recipient=user.pk, pk=self.id)
        self.outcome: Outcome | None = None
        self.result: dict[str, Any] = {}

    def read(self) -> None:
        """Read the notification, and check that the action can be taken, or that one has been taken."""
        row = self.rows.published().first()
        if row is None or row.arrived != self.arrived:
            raise _gone()
        self.row, self.outcome = row, None
        self.row.recipient = self.user
        if row.acted_at is not None:
            self.outcome = outcomes.loaded(row.outcome)
            return
        is_over = row.expires_at is not None and row.expires_at <= timezone.now()
        if is_over or not self.index < len(row.actions) or "run" not in self.entry:
            raise _gone()

    @property
    def entry(self) -> dict[str, Any]:
        """The action as it is stored."""
        entry: dict[str, Any] = self.row.actions[self.index]
        return entry

    @tries_again
    def run(self) -> Acted:
        """Run the handler in a transaction, and store and publish its outcome in the same."""
        with locked([self.user.pk], first=self._call) as change:
            mailbox = change.mailbox
            if mailbox is None:
                raise _gone()
            if self.outcome is not None:
                return Acted(Cursor(mailbox.box.epoch, self.row.position or 0), self.outcome)
            # For update, because a transaction that repeats its reads would not see later changes.
            row = self.rows.select_for_update().first()
            if row is None or (row.arrived, row.expires_at) != (
                self.arrived,
                self.row.expires_at,
            ):
                raise _gone()  # replaced or retracted while the handler ran, whose work is rolled back
            now = timezone.now()
            missing = [name for name in ("seen_at", "read_at") if getattr(row, name) is None]
            if row.archived_at is None:
                mailbox.box.unseen -= "seen_at" in missing
                mailbox.box.unread -= "read_at" in missing
            values = {"acted_at": now, "outcome": self.result, **dict.fromkeys(missing, now)}
            for name, value in values.items():
                setattr(row, name, value)
            mailbox.place(row)
            self.rows.update(position=row.position, **values)
            for update in marks.before_ring:
                update(mailbox.rows)
        self.row = row
        self._emit(missing)
        return Acted(mailbox.box.cursor, outcomes.loaded(self.result))

    def _call(self) -> None:
        """Lock the record, read the notification again, and call the handler, unless another act has."""
        self._lock()
        self.read()
        if self.outcome is not None:
            return
        connection: Any = connections[self.using]
        earlier = len(connection.run_on_commit)  # hooks of the transaction of a TestCase
        try:
            # A savepoint, as a handler may catch an error after which the transaction cannot go on.
            with transaction.atomic(using=self.using):
                returned = self._handler()(
                    self.user, self.row, **deepcopy(self.entry.get("args") or {})
                )
                self.result = outcomes.stored(self.index, returned)
                connection.validate_no_broken_transaction()  # it would be rolled back without an error
        except Exception as error:
            if isinstance(error, DatabaseError) and is_deadlock(error):
                raise  # it is tried again
            raise ActionFailed(_sentence(error)) from error
        # The outcome is committed before the handler's hooks run, so an error in one of them is only logged.
        hooks = connection.run_on_commit
        hooks[earlier:] = [(savepoints, hook, True) for savepoints, hook, _ in hooks[earlier:]]

    def _lock(self) -> None:
        records = ActionRecord.objects.using(self.using).filter(pk=self.id)
        if not connections[self.using].features.has_select_for_update:
            records.update(detail=F("detail"))  # for the reason given at MailboxQuerySet.lock
        record = records.select_for_update().first()
        if record is None:
            raise _gone()  # pruned, with its notification
        if record.detail:
            records.update(detail="")

    def _handler(self) -> Any:
        name = self.entry["run"]
        handler = handlers.find(name)
        if handler is None:
            raise LookupError(
                f"No handler has the name {name!r}, with which notification {self.id} was sent. Register it"
                f" again with @notify.action({name!r}) until such notifications have expired."
            )
        return async_to_sync(handler) if inspect.iscoroutinefunction(handler) else handler

    def _emit(self, missing: list[str]) -> None:
        """Emit the signals after the commit."""
        if commits_by_hand(connections[self.using]):
            return
        recipient_id, rows, using = self.user.pk, [self.row], self.using
        if "seen_at" in missing:
            signals.seen.send_robust(
                Notification, recipient_id=recipient_id, notifications=rows, using=using
            )
        if "read_at" in missing:
            signals.read.send_robust(
                Notification, recipient_id=recipient_id, notifications=rows, using=using
            )
        signals.acted.send_robust(
            Notification,
            recipient_id=recipient_id,
            notification=self.row,
            action=self.entry["label"],
            outcome=outcomes.loaded(self.result),
            using=using,
        )

    def report(self, error: BaseException | None) -> None:
        """Show a failure of the handler to staff, unless the handler refused."""
        if error is None or isinstance(error, (ValidationError, PermissionDenied)):
            return
        text = "".join(traceback.format_exception(error))
        records = ActionRecord.objects.using(self.using).filter(pk=self.id)
        records.update(detail=text.replace("\x00", ""))
        signals.action_failed.send_robust(
            Notification,
            recipient_id=self.user.pk,
            notification=self.row,
            action=self.entry["run"],
            error=error,
        )


def _gone() -> ActionGone:
    return ActionGone(_("This can no longer be done."))


def _sentence(error: Exception) -> str:
    """Returns what the user reads of an exception: only a ValidationError has a text for users."""
    if isinstance(error, ValidationError):
        return " ".join(map(str, error.messages))
    if isinstance(error, PermissionDenied):
        return _("You are not allowed to do this.")
    return _("This failed, and nothing was changed. You can try again.")
