"""The check of the database names handlers that are missing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import ProgrammingError
from django.utils import timezone

from notify.actions import checks
from notify.actions.checks import check_stored_actions
from notify.db import database
from notify.models import Notification
from tests.kit.deeds import RUN, handled, offer

pytestmark = [pytest.mark.database, pytest.mark.django_db]


def undo(user: Any, notification: Any, order: int) -> None:
    raise NotImplementedError


@pytest.fixture(autouse=True)
def offered(user: Any) -> Notification:
    with handled(undo):
        return offer(user)


def found(databases: Any = None) -> list[Any]:
    return list(check_stored_actions([database()] if databases is None else databases))


def test_a_missing_handler_is_reported_once(offered, user):
    with handled(undo):
        assert found() == []
        newest = offer(user)
    (warning,) = found()
    assert warning.id == "notify.W012"
    assert f"'{RUN}', such as notification {newest.pk}" in warning.msg
    assert f"@notify.action('{RUN}')" in warning.hint


@pytest.mark.parametrize(
    "values",
    [
        {"acted_at": timezone.now()},
        {"archived_at": timezone.now()},
        {"expires_at": timezone.now() - timedelta(hours=1)},
        {"actions": [{"label": "Open", "url": "/x/"}]},
        {"actions": []},
    ],
    ids=lambda values: next(iter(values)),
)
def test_what_nobody_can_answer_is_not_reported(values):
    Notification.objects.update(**values)
    assert found() == []


def test_only_the_newest_rows_are_looked_at(user, monkeypatch):
    monkeypatch.setattr(checks, "NEWEST", 1)
    with handled(undo, "tests.other"), handled(undo):
        offer(user)
    assert len(found()) == 1
    Notification.objects.create(recipient=user, message="newer")
    assert found() == []


def test_other_databases_and_missing_tables_are_left_alone(monkeypatch):
    """A check runs before the first migration too."""
    assert found([]) == []
    assert list(check_stored_actions(None)) == []
    assert found()

    def fail() -> Any:
        raise ProgrammingError("no such table")

    monkeypatch.setattr(checks, "_missing", fail)
    assert found() == []
