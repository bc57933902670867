"""
The users who connect to the notify server, made before it starts:

    python -m benchmarks.servers.people 1250
"""

from __future__ import annotations

import sys
from datetime import timedelta

EPOCH = "0" * 17  # of every mailbox, so that a document can be made without a look at the database


def cookie(user: int) -> str:
    """The Cookie header of a signed-in user."""
    return f"sessionid={session_key(user)}"


def session_key(user: int) -> str:
    return f"benchmark{user:023d}"


def prepare(count: int) -> None:
    """Make the tables, the users 1, 2, 3 …, their empty mailboxes and their sessions."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session
    from django.core.management import call_command
    from django.utils import timezone

    from notify.models import Mailbox

    call_command("migrate", verbosity=0)
    users = [User(pk=pk, username=f"user{pk}", password="!") for pk in range(1, count + 1)]
    User.objects.bulk_create(users, batch_size=50)
    Mailbox.objects.bulk_create(
        [Mailbox(user_id=user.pk, epoch=EPOCH) for user in users], batch_size=50
    )
    store = SessionStore()
    sessions = []
    for user in users:
        data = {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        sessions.append(
            Session(
                session_key=session_key(user.pk),
                session_data=store.encode(data),
                expire_date=timezone.now() + timedelta(days=1),
            )
        )
    Session.objects.bulk_create(sessions, batch_size=50)


if __name__ == "__main__":
    import django

    django.setup()
    prepare(int(sys.argv[1]))
