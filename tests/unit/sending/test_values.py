"""Single values: what a sender passes is checked, and what a task reports is cut to what can be stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from django.utils.translation import gettext_lazy

from notify.exceptions import InvalidNotification
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


@pytest.mark.parametrize(("given", "text"), [(None, ""), (7, "7"), (monday, "Monday"), ("x", "x")])
def test_a_text_becomes_a_plain_string(given, text):
    checked = values.checked_text("title", given, 10)
    assert (checked, type(checked)) == (text, str)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "title",
            "x" * 11,
            "title has 11 characters; at most 10.*link to a page with the full text",
        ),
        ("key", "x" * 11, r"key has 11 characters; at most 10 are allowed\. Shorten it\.$"),
        ("key", "a\x00", "NUL"),
        ("key", "\ud800", "lone surrogate"),
    ],
)
def test_a_text_that_cannot_be_stored_is_refused(name, text, said):
    with pytest.raises(InvalidNotification, match=said):
        values.checked_text(name, text, 10)


@pytest.mark.parametrize("data", [None, 7, "x", [1, {"a": [None]}], {"a": {"b": "c"}}])
def test_data_is_copied(data):
    copy = values.checked_data(data)
    assert copy == data
    assert copy is not data or not isinstance(data, list | dict)


def nested(depth: int) -> object:
    data: object = 1
    for _ in range(depth):
        data = [data]
    return data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({1, 2}, "cannot be stored as JSON"),
        (float("nan"), "cannot be stored as JSON"),
        (["x" * values.MAX_DATA_BYTES], "at most 16384"),
        (nested(values.MAX_DATA_DEPTH + 1), "deeper than 30"),
        ({"a": "\x00"}, "NUL"),
        ({"\ud800": 1}, "lone surrogate"),
    ],
)
def test_data_that_cannot_be_stored_is_refused(data, said):
    with pytest.raises(InvalidNotification, match=said):
        values.checked_data(data)


def test_an_expiry_becomes_a_moment():
    now = timezone.now()
    assert values.checked_expiry(None) is None
    assert values.checked_expiry(now + timedelta(days=1)) == now + timedelta(days=1)
    soon = values.checked_expiry(timedelta(minutes=5))
    assert soon is not None
    assert now < soon <= timezone.now() + timedelta(minutes=5)


@pytest.mark.parametrize("use_tz", [True, False])
def test_an_expiry_is_as_aware_as_the_site(use_tz, settings):
    settings.USE_TZ = use_tz
    for moment in (datetime(2100, 1, 1), datetime(2100, 1, 1, tzinfo=UTC)):
        checked = values.checked_expiry(moment)
        assert checked is not None
        assert timezone.is_aware(checked) == use_tz


@pytest.mark.parametrize(
    ("expires", "said"),
    [
        ("tomorrow", "must be a datetime or a timedelta"),
        (timedelta.max, "out of the range of dates"),
        (timedelta(), "in the past"),
        (timedelta(seconds=-1), "in the past"),
    ],
)
def test_an_expiry_that_is_none_is_refused(expires, said):
    with pytest.raises(InvalidNotification, match=said):
        values.checked_expiry(expires)


@pytest.mark.parametrize(
    ("number", "level"),
    [
        (0, "debug"),
        (10, "debug"),
        (19, "debug"),
        (20, "info"),
        (25, "success"),
        (39, "warning"),
        (90, "error"),
    ],
)
def test_a_number_of_djangos_messages_has_a_level(number, level):
    assert values.level_from(number) == level
