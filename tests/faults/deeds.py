"""Changes of users and their sessions, made in the sending process."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
)
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection, connections, transaction
from django.utils import timezone

import notify
from notify.actions import execution
from notify.models import Mailbox, Notification
from notify.protocol import TaskState
from notify.signals import publish_failed
from notify.tracking import jobs, writer
from notify.tracking import rows as task_rows
from notify.tracking.run import TaskRun
from tests.faults.sender import Rollback, describe
from tests.kit import mailboxes


def crowd(prefix: str, number: int) -> list[dict[str, Any]]:
    """Create that many users, each signed in and with a mailbox, in a few statements."""
    model = get_user_model()
    password = make_password("demo")
    names = [f"{prefix}{i}" for i in range(number)]
    model.objects.bulk_create(model(username=name, password=password) for name in names)
    made, sessions = [], []
    for user in model.objects.filter(username__in=names).order_by("pk"):
        store = SessionStore()
        store[SESSION_KEY] = str(user.pk)
        store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        store[HASH_SESSION_KEY] = user.get_session_auth_hash()
        store._session_key = store._get_new_session_key()
        sessions.append(store.create_model_instance(dict(store.items())))
        cookies = {settings.SESSION_COOKIE_NAME: store.session_key}
        made.append({"pk": user.pk, "name": user.get_username(), "cookies": cookies})
    Session.objects.bulk_create(sessions)
    Mailbox.objects.ensure([user["pk"] for user in made])
    return made


def make_staff(user: Any) -> None:
    get_user_model().objects.filter(pk=user).update(is_staff=True)


def set_password(user: Any) -> None:
    known = get_user_model().objects.get(pk=user)
    known.set_password("another")
    known.save()


def deactivate(user: Any) -> None:
    get_user_model().objects.filter(pk=user).update(is_active=False)


def disconnect(user: Any) -> None:
    notify.disconnect(user)


def delete(user: Any) -> None:
    get_user_model().objects.get(pk=user).delete()


def end_session(key: str) -> None:
    Session.objects.filter(session_key=key).delete()


def empty_session(key: str) -> None:
    """Remove the user from a session that continues, as code of the project may do."""
    session = SessionStore(key)
    del session[SESSION_KEY]
    session["basket"] = 1
    session.save()


def let_session_expire(key: str) -> None:
    Session.objects.filter(session_key=key).update(expire_date=timezone.now() - timedelta(hours=1))


def epoch(user: Any) -> str:
    return Mailbox.objects.get(pk=user).epoch


def age(user: Any) -> None:
    """Give the user a mailbox of an hour ago, to which a cursor may prove a restore."""
    Mailbox.objects.ensure([user])
    mailboxes.age(user)


def set_back(user: Any) -> None:
    """Remove the newest rows and lower the head, as a restored backup does."""
    Notification.objects.filter(recipient=user).delete()
    Mailbox.objects.filter(pk=user).update(head=0, unseen=0, unread=0)


def send_expiring(to: Any, message: str, at: str) -> None:
    notify.send(to, message, expires=datetime.fromisoformat(at))


def ids(user: Any) -> list[int]:
    return list(Notification.objects.filter(recipient=user).values_list("pk", flat=True))


def marks(user: Any) -> list[list[Any]]:
    """For each row: its text, and whether it is seen, read, archived, dismissed."""
    fields = ("seen_at", "read_at", "archived_at", "dismissed_at")
    rows = Notification.objects.filter(recipient=user).order_by("arrived")
    return [
        [message, *(moment is not None for moment in moments)]
        for message, *moments in rows.values_list("message", *fields)
    ]


failed_publishes: list[str] = []


def note_failed_publishes() -> None:
    publish_failed.connect(note_failed_publish, dispatch_uid="note")


def note_failed_publish(error: Exception, **kwargs: Any) -> None:
    failed_publishes.append(describe(error))


def count_failed_publishes() -> int:
    """The publishes of this process that have failed since they are noted."""
    return len(failed_publishes)


def lock_mailbox(user: Any) -> None:
    """Lock a mailbox until the thread's transaction ends."""
    Mailbox.objects.select_for_update().get(pk=user)


# -- Tasks ---------------------------------------------------------------------------------------

tasks: dict[str, Any] = {}


def begin_task(user: Any, name: str, **options: Any) -> None:
    tasks[name] = notify.progress(user, name, **options)


def task_says(name: str, what: str, **arguments: Any) -> None:
    """Report progress of a task by any of its methods, such as "advance"."""
    getattr(tasks[name], what)(**arguments)


@notify.tracked("Importing customers", user="user_id", cancellable=True)
def import_customers(user_id: Any) -> bool:
    return True


def queue_job(user: Any, job: str) -> None:
    """Report as a queue's adapter does that a job of this name was queued for a user."""
    jobs.queued(job, import_customers, [user], {})
    assert writer.flush(10)


def run_job(user: Any, job: str) -> bool:
    """Run the job as a worker does. Returns whether the function was called."""
    jobs.begun(job, import_customers)
    has_run = import_customers(user)
    jobs.over(job)
    assert writer.flush(10)
    return bool(has_run)


def queue_jobs(user: Any, count: int) -> list[list[int]]:
    """Record cancellable jobs that no worker has begun. Returns what a client would show: [id, arrived]."""
    for number in range(count):
        run = TaskRun(user, f"job {number}", job=f"stuck:{number}", state=TaskState.QUEUED)
        run.cancellable = True
        task_rows.save(run)
    shown = Notification.objects.filter(recipient=user, task__isnull=False)
    return [[pk, arrived] for pk, arrived in shown.values_list("pk", "arrived")]


def begin_task_and_die(user: Any, name: str) -> None:
    """Kill the worker once its task is seen to run."""
    begin_task(user, name)
    assert writer.flush(10)
    os.kill(os.getpid(), signal.SIGKILL)


def task_in_a_transaction(user: Any, name: str) -> None:
    """Report progress of a task in a transaction that is then rolled back."""
    with suppress(Rollback), notify.progress(user, name, total=4) as progress, transaction.atomic():
        progress.advance(3)
        # SQLite has one writer, and it is this transaction.
        assert connection.vendor == "sqlite" or writer.flush(10)
        raise Rollback


def children_with_tasks(user: Any, names: list[str]) -> list[int]:
    """Run tasks in forked children while the parent's own task runs. Returns their exit codes."""
    with notify.progress(user, "parent"):
        writer.flush(10)
        children = []
        for name in names:
            pid = os.fork()
            if pid == 0:
                try:
                    connections.close_all()
                    with notify.progress(user, name, total=1) as progress:
                        progress.advance()
                    os._exit(0 if writer.flush(10) else 1)
                except BaseException:
                    os._exit(2)
            children.append(pid)
        return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


# -- Actions -------------------------------------------------------------------------------------


def offer(to: Any, order: str) -> list[Any]:
    """Send a notification that can be answered. Returns its id and the position of its content."""
    row = notify.send(
        to,
        f"{order} was cancelled",
        actions=[notify.Action("Undo", run="shop.undo", args={"order": order})],
    )
    return [row.pk, row.arrived]


def act(user: Any, shown: list[int]) -> str:
    """Take the action in this process. Returns the message of its outcome."""
    outcome = execution.run(user, (shown[0], shown[1]), 0).outcome
    assert outcome is not None
    return str(outcome.message)


def effects(order: str) -> int:
    """Returns how often the handler's work was committed."""
    return Group.objects.filter(name__startswith=f"{order}-").count()
