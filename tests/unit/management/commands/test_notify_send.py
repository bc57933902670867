from __future__ import annotations

import io
import json
import uuid
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from notify.models import Notification

pytestmark = [pytest.mark.django_db, pytest.mark.users]


def run(*arguments: str) -> str:
    """Run the command. Returns its output."""
    output = io.StringIO()
    call_command("notify_send", *arguments, stdout=output)
    return output.getvalue()


def test_a_user_is_found_by_the_name_he_signs_in_with(user, other_user):
    printed = run(user.get_username(), "Hello")
    row = Notification.objects.get()
    assert (row.recipient_id, row.message, row.level) == (user.pk, "Hello", "info")
    assert printed == f"Sent notification {row.pk} to {user}.\n"


def test_a_user_is_found_by_primary_key(user, other_user):
    run(str(other_user.pk), "Hello")
    assert Notification.objects.get().recipient_id == other_user.pk


@pytest.mark.only_if(settings.USER != "char")  # a model without username
def test_a_name_goes_before_a_key(make_user):
    """A user called "1" is found by name."""
    first = make_user("alice")
    called_so = make_user(str(first.pk))
    run(str(first.pk), "Hello")
    assert Notification.objects.get().recipient_id == called_so.pk


def test_everything_may_be_given(user):
    options = {
        "--level": "success",
        "--title": "Export",
        "--category": "exports",
        "--url": "/x/",
        "--key": "export:7",
        "--data": json.dumps({"rows": [1, 2]}),
        "--expires": "3600",
    }
    run(user.get_username(), "Hello", *(word for pair in options.items() for word in pair))
    row = Notification.objects.get()
    assert (row.level, row.title, row.category) == ("success", "Export", "exports")
    assert (row.url, row.collapse_key, row.data) == ("/x/", "export:7", {"rows": [1, 2]})
    assert row.expires_at is not None
    assert 3500 < (row.expires_at - timezone.now()).total_seconds() <= 3600


@pytest.mark.parametrize("name", ["nobody", "99999999999999999999999", str(uuid.UUID(int=1)), ""])
def test_nobody_is_a_command_error(name, user):
    with pytest.raises(
        CommandError, match=rf"User {name!r} does not exist\. Specify a \w+ or a primary key"
    ):
        run(name, "Hello")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--url", "javascript:alert(1)"], "neither a URL"),
        (["--title", "x" * 201], "at most 200"),
        (["--level", "danger"], "invalid choice"),
        (["--data", "{"], "--data must be JSON"),
        (["--data", "NaN"], "data cannot be stored as JSON"),
        (["--expires", "-1"], "in the past"),
        (["--expires", "soon"], "invalid float"),
        (["--expires", "nan"], "--expires a number"),
        (["--expires", "1e300"], "--expires a number"),
    ],
)
def test_what_is_wrong_is_a_command_error(arguments: list[str], problem: str, user: Any):
    with pytest.raises(CommandError, match=problem):
        run(user.get_username(), "Hello", *arguments)
    assert not Notification.objects.exists()
