"""The rows of the inbox page have safe links, folded groups and the progress of tasks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from notify.models import Notification
from notify.pages.rows import InboxRow, RowOutcome, rows_of


def notification(pk: int = 7, **values: Any) -> Notification:
    return Notification(pk=pk, arrived=40 + pk, **{"message": f"No. {pk}", **values})


def row(**values: Any) -> InboxRow:
    (only,) = rows_of([notification(**values)])
    return only


def progress(state: str, **values: Any) -> dict[str, Any]:
    common = {"done": 0, "total": None, "message": "", "cancellable": False, "silent": False}
    return {"state": state, **common, **values}


def test_a_row_names_the_content_that_is_shown():
    shown = row()
    assert (shown.shown, str(shown.level), shown.is_running) == ("7:47", "Information", False)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "next/", " java\nscript:x"]
)
def test_a_link_that_is_not_one_is_left_out(url):
    """Rows may have been written by other code than notify.send()."""
    actions = [{"label": "Bad", "url": url}, {"label": "Good", "url": "/x/"}, {"label": "None"}]
    shown = row(url=url, image=url, actions=actions)
    assert (shown.url, shown.image) == ("", "")
    assert [action.label for action in shown.actions] == ["Good"]


def test_the_rows_of_a_group_are_folded_below_the_newest():
    groups = ["a", "", "b", "a", "", "a"]
    rows = rows_of([notification(pk, group=group) for pk, group in enumerate(groups, 1)])
    assert [row.notification.pk for row in rows] == [1, 2, 3, 5]
    assert [row.notification.pk for row in rows[0].others] == [4, 6]
    assert not any(row.others for row in rows[1:])


@pytest.mark.parametrize(
    ("state", "values", "activity", "percent", "is_cancellable"),
    [
        ("queued", {"cancellable": True}, "Waiting to start", None, True),
        ("running", {"total": 8, "done": 3, "message": "Reading"}, "Reading", 37, False),
        ("running", {"total": 8, "done": 9, "silent": True}, "No response for a while", 100, False),
        ("running", {"total": 0}, "", None, False),
        ("cancelling", {"cancellable": True, "message": "Reading"}, "Cancelling…", None, False),
    ],
)
def test_a_running_task_has_its_progress(state, values, activity, percent, is_cancellable):
    shown = row(progress=progress(state, **values))
    assert shown.is_running
    assert (shown.activity, shown.percent) == (activity, percent)
    assert shown.is_cancellable == is_cancellable


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "lost"])
def test_a_task_that_has_ended_is_a_notification_like_others(state):
    assert not row(progress=progress(state, total=8, done=3)).is_running


def test_an_action_that_is_run_is_a_button_while_it_can_be_taken():
    actions = [
        {"label": "Open", "url": "/x/"},
        {"label": "Undo", "run": "tests.do", "args": {"secret": 7}},
        {"label": "Delete", "run": "tests.do", "style": "danger", "confirm": "Really?"},
    ]
    open_ = row(actions=actions, expires_at=timezone.now() + timedelta(hours=1))
    link, undo, delete = open_.actions
    assert (link.url, undo.url) == ("/x/", "")
    assert (undo.index, undo.label, undo.style, undo.confirm) == (1, "Undo", "", "")
    assert (delete.index, delete.style, delete.confirm) == (2, "danger", "Really?")
    assert open_.outcome is None
    expired = row(actions=actions, expires_at=timezone.now() - timedelta(hours=1))
    assert [action.label for action in expired.actions] == ["Open"]


def test_an_outcome_stands_in_place_of_the_buttons():
    actions = [{"label": "Undo", "run": "tests.do"}, {"label": "Open", "url": "/x/"}]
    outcome = {"action": 0, "message": "Back.", "level": "success", "url": "javascript:alert(1)"}
    done = row(actions=actions, acted_at=timezone.now(), outcome=outcome)
    assert [action.label for action in done.actions] == ["Open"]
    assert done.outcome == RowOutcome("Back.", "success", "")
