"""Values that a task reports are cut to what can be stored; test_content has what a sender passes."""

from __future__ import annotations

import pytest
from django.utils.translation import gettext_lazy

from notify.sending import values

monday = gettext_lazy("Monday")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, ""),
        (7, "7"),
        (monday, "Monday"),
        ("x" * 10, "x" * 10),
        ("x" * 11, "x" * 9 + "…"),
        ("a\x00b\ud800", "ab?"),
    ],
)
def test_what_a_task_reports_is_kept_as_far_as_it_fits(given, kept):
    """It refuses nothing, because the work is done."""
    assert values.shortened(given, 10) == kept
