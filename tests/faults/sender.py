"""
A process that sends. It reads calls as JSON lines, and answers each with a line.

    {"ref": 1, "call": "send", "to": 7, "message": "Hello"}
    {"ref": 2, "call": "begin", "thread": "slow"}
    {"ref": 3, "call": "tests.faults.deeds:log_out", "user": 7}

Each thread that a call names executes its calls in order, on its own database connection, and keeps
its transaction open between them.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import django
import django.db
import django.db.transaction

CLIENT_CSRF = "x" * 32


class Rollback(Exception):
    """Raised to end an atomic block without committing it."""


# A thread's open blocks, and what it has sent but not committed: [pk, text], by block.
state = threading.local()


def blocks() -> list[Any]:
    if not hasattr(state, "blocks"):
        state.blocks, state.sent = [], []
    return state.blocks


def begin() -> None:
    """Open a transaction, or inside one a savepoint."""
    block = django.db.transaction.atomic()
    block.__enter__()
    blocks().append(block)
    state.sent.append([])


def commit() -> dict[str, Any]:
    """Commit the block. Returns what has been committed by it."""
    sent = _leave(lambda block: block.__exit__(None, None, None))
    if blocks():
        state.sent[-1] += sent
        return {"committed": []}
    return {"committed": sent}


def roll_back() -> None:
    _leave(lambda block: block.__exit__(Rollback, Rollback(), None))


def _leave(leave: Callable[[Any], Any]) -> Any:
    block, sent = blocks().pop(), state.sent.pop()
    leave(block)
    return sent


def send(to: Any, message: str, **options: Any) -> dict[str, Any]:
    import notify

    sent = notify.send(to, message, **options)
    return {"id": sent.pk, "position": sent.position, "committed": _note([[to, message]])}


def send_many(to: list[Any], message: str, **options: Any) -> dict[str, Any]:
    import notify

    sent = notify.send_many(to, message, **options)
    return {"committed": _note([[row.recipient_id, message] for row in sent])}


def _note(sent: list[Any]) -> list[Any]:
    if blocks():
        state.sent[-1] += sent
        return []
    return sent


# -- Dying at a chosen point ----------------------------------------------------------------------


def die(*args: Any, **kwargs: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_on_commit() -> None:
    """Die in the first hook after the commit, before the hooks of later sends run."""
    django.db.transaction.on_commit(die)


def die_at(function: str) -> None:
    """Die when this function would be called, such as "notify.doorbell:ring"."""
    replace(function, die)


def freeze_at(function: str) -> None:
    """Freeze at the first call of this function. On SIGCONT, the process goes on."""
    holder, name = _place(function)
    original = getattr(holder, name)

    def freeze(*args: Any, **kwargs: Any) -> Any:
        setattr(holder, name, original)
        os.kill(os.getpid(), signal.SIGSTOP)
        return original(*args, **kwargs)

    setattr(holder, name, freeze)


def replace(function: str, by: Callable[..., Any]) -> None:
    holder, name = _place(function)
    setattr(holder, name, by)


def _place(function: str) -> tuple[Any, str]:
    module, _, path = function.partition(":")
    *holders, name = path.split(".")
    holder: Any = import_module(module)
    for each in holders:
        holder = getattr(holder, each)
    return holder, name


# -- A steady load -------------------------------------------------------------------------------


class Load:
    """Sends n notifications per second to the recipients in turn, and records the result of each."""

    def __init__(self, to: list[Any], rate: float, name: str, size: int, atomic: bool) -> None:
        self.to, self.rate, self.name, self.size = to, rate, name, size
        self.atomic = atomic
        self.sends: list[dict[str, Any]] = []
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def send(self, to: Any, text: str) -> None:
        import notify

        with django.db.transaction.atomic() if self.atomic else nullcontext():
            notify.send(to, text)

    def run(self) -> None:
        start = time.monotonic()
        number = 0
        while not self.ends.wait(max(0.0, start + number / self.rate - time.monotonic())):
            to = self.to[number % len(self.to)]
            # Random padding, because WebSockets compress: repeated text would fit through any link.
            padding = f" {secrets.token_urlsafe(self.size)[: self.size]}" if self.size else ""
            text = f"{self.name} {number}{padding}"
            sent = {"to": to, "text": text, "began": time.monotonic(), "error": None}
            django.db.close_old_connections()  # as every request and every task does
            try:
                self.send(to, text)
            except Exception as error:
                sent["error"] = describe(error)
            sent["ended"] = time.monotonic()
            sent["took"] = sent["ended"] - sent["began"]
            self.sends.append(sent)
            number += 1


loads: dict[str, Load] = {}


def start_load(to: list[Any], rate: float, name: str, size: int, atomic: bool) -> None:
    loads[name] = Load(to, rate, name, size, atomic)


def stop_load(name: str) -> dict[str, Any]:
    """End the load. Returns each send, with its moments on the machine's monotonic clock."""
    load = loads.pop(name)
    load.ends.set()
    load.thread.join()
    committed = [[sent["to"], sent["text"]] for sent in load.sends if sent["error"] is None]
    return {"sends": load.sends, "committed": committed}


# -- Calls of the clerk ---------------------------------------------------------------------------


def users(names: list[str], mailbox: bool = True) -> list[dict[str, Any]]:
    """Create signed-in users. With a mailbox, each has a cursor from the beginning."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    from notify.models import Mailbox

    made = []
    for name in names:
        user = get_user_model().objects.create_user(name, f"{name}@example.com", "demo")
        if mailbox:
            Mailbox.objects.ensure([user.pk])
        made.append({"pk": user.pk, "name": name, "cookies": _sign_in(Client(), user, settings)})
    return made


def sign_in(user: Any) -> dict[str, str]:
    """Sign the user in, in another browser. Returns its cookies."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    return _sign_in(Client(), get_user_model().objects.get(pk=user), settings)


def _sign_in(browser: Any, user: Any, settings: Any) -> dict[str, str]:
    browser.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return {name: browser.cookies[name].value, settings.CSRF_COOKIE_NAME: CLIENT_CSRF}


def mailboxes(users: list[Any]) -> dict[str, Any]:
    """The true state of each user: the mailbox's numbers, the waiting rows, and the texts in order."""
    from notify.models import Mailbox, Notification

    found: dict[str, Any] = {}
    for user in users:
        rows = Notification.objects.filter(recipient=user)
        published = list(rows.published().order_by("arrived"))
        box = Mailbox.objects.filter(pk=user).first()
        standing = [row for row in published if row.archived_at is None]
        found[str(user)] = {
            "cursor": box and str(box.cursor),
            "head": box and box.head,
            "counts": box and [box.unseen, box.unread],
            "counted": [
                sum(row.seen_at is None for row in standing),
                sum(row.read_at is None for row in standing),
            ],
            "waiting": [row.message for row in rows.waiting().order_by("pk")],
            "texts": [row.message for row in published],
            "positions": sorted(row.position or 0 for row in published),
            "rows": {str(row.pk): row.message for row in published},
        }
    return found


def execute(statement: str, parameters: list[Any] | None = None) -> list[Any]:
    """Execute raw SQL. Returns the rows, if there are any."""
    with django.db.connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return [list(row) for row in cursor.fetchall()] if cursor.description else []


def manage(*arguments: str) -> None:
    from django.core.management import call_command

    call_command(*arguments)


# -- The process ---------------------------------------------------------------------------------


def describe(error: Exception) -> str:
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}: {error}"


def find(call: str) -> Callable[..., Any]:
    module, _, name = call.rpartition(":")
    found: Callable[..., Any] = getattr(import_module(module), name) if module else globals()[call]
    return found


answering = threading.Lock()


def answer(ref: int, call: str, arguments: dict[str, Any]) -> None:
    if not blocks():
        django.db.close_old_connections()  # as every request and every task does
    said: dict[str, Any] = {"ref": ref, "value": None, "error": None, "began": time.monotonic()}
    try:
        said["value"] = find(call)(*arguments.pop("args", ()), **arguments)
    except Exception as error:
        said["error"] = describe(error)
    said["ended"] = time.monotonic()
    with answering:
        print(json.dumps(said), file=ANSWERS, flush=True)


def work(calls: queue.Queue[tuple[int, str, dict[str, Any]]]) -> None:
    while True:
        answer(*calls.get())


def main() -> None:
    django.setup()
    threads: dict[str, queue.Queue[Any]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked.pop("thread", "main")
        if name not in threads:
            threads[name] = queue.Queue()
            threading.Thread(target=work, args=[threads[name]], daemon=True).start()
        threads[name].put((asked.pop("ref"), asked.pop("call"), asked))


if __name__ == "__main__":
    # Imported by its name, so that the loads and the thread-local state exist only once.
    from tests.faults import sender

    ANSWERS, sys.stdout = sys.stdout, sys.stderr  # printed text must not become an answer
    sender.ANSWERS = ANSWERS  # type: ignore[attr-defined]
    sender.main()
