"""
A process beside the site that sends: it reads calls as JSON lines and answers each with one.

    {"call": "send", "to": "alice", "message": "Hello", "level": "success"}
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django


def visitor(name: str) -> dict[str, str]:
    """Sign a user in, who is made if need be; returns the cookie."""
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

    sent = notify.send(get_user_model().objects.get(username=to), message, **options)
    return {"id": sent.pk, "position": sent.position}


def sign_out(name: str) -> None:
    """End all sessions of a user, as a password change does."""
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.get(username=name)
    user.set_password("another")
    user.save()


def main() -> None:
    django.setup()
    calls = {"visitor": visitor, "send": send, "sign_out": sign_out}
    for line in sys.stdin:
        arguments = json.loads(line)
        answer = calls[arguments.pop("call")](**arguments)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
