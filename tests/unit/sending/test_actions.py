"""Actions are checked when they are sent, so that none is stored that could not be run."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils.translation import gettext_lazy, override

from notify.exceptions import InvalidNotification
from notify.sending import actions
from notify.sending.actions import MAX_CONFIRM, Action
from notify.sending.content import Content
from tests.kit.deeds import RUN, handled


def undo(user: Any, notification: Any, order: int = 0) -> None:
    raise NotImplementedError


@pytest.fixture(autouse=True)
def handler():
    with handled(undo):
        yield


def stored(*given: Any) -> list[dict[str, Any]]:
    return [actions.stored(action) for action in actions.checked(given)]


def refused(*given: Any) -> str:
    with pytest.raises(InvalidNotification) as caught:
        stored(*given)
    return str(caught.value)


def test_a_link_is_stored_as_it_was_before_handlers():
    assert stored(Action("Open", "/x/"), {"label": "Shut", "url": "/y/"}) == [
        {"label": "Open", "url": "/x/"},
        {"label": "Shut", "url": "/y/"},
    ]


def test_an_action_that_is_run_keeps_its_arguments():
    full = Action("Undo", run=RUN, args={"order": 7}, style="danger", confirm=" Really? ")
    assert stored(full, {"label": "Undo", "run": RUN}) == [
        {
            "label": "Undo",
            "run": RUN,
            "args": {"order": 7},
            "style": "danger",
            "confirm": "Really?",
        },
        {"label": "Undo", "run": RUN, "args": {}},
    ]


def test_the_arguments_are_copied():
    """The caller may change the object before the commit."""
    args: dict[str, Any] = {"order": [7]}
    (checked,) = actions.checked([Action("Undo", run=RUN, args=args)])
    args["order"].append(8)
    assert checked.args == {"order": [7]}


def test_a_name_without_a_handler_is_refused_with_the_next_step():
    text = refused(Action("Undo", run="tests.no"))
    assert "run='tests.no' is not the name of a handler" in text
    assert "@notify.action('tests.no')" in text
    assert f"Did you mean '{RUN}'?" in text
    assert "notifications.py of an app" in refused(Action("Undo", run="something else"))


@pytest.mark.parametrize("args", [{"orders": 7}, {"user": 1}, {"order": 7, "more": 1}])
def test_arguments_that_the_handler_does_not_take_are_refused(args):
    text = refused(Action("Undo", run=RUN, args=args))
    assert "handler(user, notification, **args)" in text
    assert repr(args) in text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"order": object()}, "args cannot be stored as JSON"),
        ({"order": "x" * 17_000}, "args has 17013 bytes as JSON; at most 16384 are allowed"),
        ([7], "must be a mapping"),
    ],
)
def test_arguments_that_cannot_be_stored_are_refused(args, words):
    assert words in refused(Action("Undo", run=RUN, args=args))


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Action("Undo"), "must have a url or run"),
        (Action("Undo", "/x/", run=RUN), "has both a url and run='tests.do'"),
        (Action("Undo", "/x/", args={"order": 7}), "has args={'order': 7}, but is not run"),
        (Action("Undo", "/x/", style="danger"), "has style='danger', but is not run"),
        (Action("Undo", "/x/", confirm="Really?"), "has confirm='Really?', but is not run"),
        (Action("Undo", run=RUN, style="loud"), "style='loud' is not a style"),
        (Action("Undo", run=RUN, confirm="x" * (MAX_CONFIRM + 1)), "In actions: confirm has 201"),
        (Action(" ", run=RUN), "The action with the run tests.do must have a label"),
        (Action(" ", "/x/"), "The action with the url /x/ must have a label"),
        ({"label": "Undo", "runs": RUN}, "or a mapping with these keys"),
    ],
)
def test_an_action_that_makes_no_sense_is_refused(action, words):
    assert words in refused(action)


def test_the_number_of_actions_is_limited():
    assert "actions has 6 entries; at most 5 are allowed" in refused(*[Action("Open", "/x/")] * 6)
    for wrong in (Action("Open", "/x/"), 7):
        with pytest.raises(InvalidNotification, match="actions must be a list"):
            actions.checked(wrong)


def test_the_question_is_in_the_language_of_the_recipient():
    confirm = gettext_lazy("Yes")
    content = Content("Hello", actions=[Action("Undo", run=RUN, confirm=confirm)]).checked()
    assert content.depends_on_language
    with override("de"):
        assert content.render().actions[0]["confirm"] == "Ja"
