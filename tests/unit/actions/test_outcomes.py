"""The result of a handler becomes the outcome of its notification."""

from __future__ import annotations

import pytest
from django.utils.translation import gettext_lazy, override

from notify.actions.outcomes import loaded, stored
from notify.exceptions import InvalidNotification
from notify.handlers import Outcome
from notify.models import MAX_MESSAGE


@pytest.mark.parametrize(
    ("returned", "message", "level", "url"),
    [
        (None, "Done.", "success", ""),
        ("", "Done.", "success", ""),
        ("Order 7 is back.", "Order 7 is back.", "success", ""),
        (Outcome("No.", level="error", url="/orders/7/"), "No.", "error", "/orders/7/"),
        (Outcome(None, level=30), "Done.", "warning", ""),
    ],
)
def test_an_outcome_is_a_message_with_a_level_and_a_link(returned, message, level, url):
    outcome = stored(2, returned)
    assert outcome == {"action": 2, "message": message, "level": level, "url": url}
    assert loaded(outcome) == Outcome(message, level=level, url=url)


def test_a_message_is_in_the_active_language():
    with override("de"):
        assert stored(0, gettext_lazy("Yes"))["message"] == "Ja"


def test_a_message_that_is_too_long_is_cut():
    """The handler has done its work, which a long text must not undo."""
    assert len(stored(0, "x" * 3000)["message"]) == MAX_MESSAGE
    assert stored(0, "a\x00b")["message"] == "ab"


def test_other_values_are_mistakes():
    with pytest.raises(TypeError, match=r"a text or notify\.Outcome, not 7"):
        stored(0, 7)
    for wrong in (Outcome("x", level="loud"), Outcome("x", url="javascript:alert(1)")):
        with pytest.raises(InvalidNotification):
            stored(0, wrong)
