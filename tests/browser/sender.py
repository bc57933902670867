"""
A process beside the site that sends. It reads calls as JSON lines, and answers each with a line.

    {"do": "send", "to": "alice", "message": "Hello", "level": "success"}
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import django


def visitor(name: str) -> dict[str, str]:
    """Sign a user in, who is created if necessary. Returns the cookie."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    user, _ = get_user_model().objects.get_or_create(username=name)
    client = Client()
    client.force_login(user)
    cookie = settings.SESSION_COOKIE_NAME
    return {"name": cookie, "value": client.cookies[cookie].value}


def send(to: str, message: str, **options: Any) -> dict[str, Any]:
    from django.contrib.auth import get_user_model

    import notify

    options["actions"] = [notify.Action(**action) for action in options.get("actions", [])]
    sent = notify.send(get_user_model().objects.get(username=to), message, **options)
    return {"id": sent.pk, "position": sent.position}


def flood(to: str, number: int, seconds: float) -> None:
    """Send many notifications, evenly over some time."""
    begun = time.monotonic()
    for count in range(number):
        send(to, f"Event {count}")
        time.sleep(max(0, begun + seconds * count / number - time.monotonic()))


def stored(to: str) -> dict[str, Any]:
    """Returns the marks of a user's notifications, the counts, and how often the action was run."""
    from django.contrib.auth import get_user_model

    import notify
    from demo_project.models import Payment
    from notify.models import Notification

    user = get_user_model().objects.get(username=to)
    names = ("seen_at", "read_at", "archived_at", "dismissed_at", "acted_at")
    rows = Notification.objects.filter(recipient=user)
    return {
        "rows": {row.message: [name for name in names if getattr(row, name)] for row in rows},
        "counts": notify.inbox.counts(user)._asdict(),
        "acts": Payment.objects.filter(user=user).count(),
    }


def retract(to: str, key: str) -> None:
    from django.contrib.auth import get_user_model

    import notify

    notify.retract(get_user_model().objects.get(username=to), key)


running: dict[str, Any] = {}  # the tasks of this process by name


def task(to: str, name: str, **options: Any) -> None:
    """Begin a task."""
    from django.contrib.auth import get_user_model

    import notify
    from notify.tracking import writer

    user = get_user_model().objects.get(username=to)
    running[name] = notify.progress(user, name, **options)
    assert writer.flush(10)


def tell(name: str, what: str, **arguments: Any) -> bool:
    """Report progress of a task. Returns whether it was cancelled."""
    from notify.tracking import writer

    getattr(running[name], what)(**arguments)
    assert writer.flush(10)
    return bool(running[name].is_cancelled)


def die() -> None:
    """Die like a worker that is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def advance(name: str, n: int) -> None:
    """Advance a task. The writer writes it later."""
    running[name].advance(n)


def step(name: str, step: str) -> None:
    """A step of a task, from its beginning to its end."""
    from notify.tracking import writer

    with running[name].step(step):
        pass
    assert writer.flush(10)


def sign_out(name: str) -> None:
    """End all sessions of a user, as a change of the password does."""
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.get(username=name)
    user.set_password("another")
    user.save()


def main() -> None:
    django.setup()
    known = [visitor, send, flood, stored, retract, task, tell, die, advance, step, sign_out]
    calls = {call.__name__: call for call in known}
    for line in sys.stdin:
        arguments = json.loads(line)
        answer = calls[arguments.pop("do")](**arguments)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
