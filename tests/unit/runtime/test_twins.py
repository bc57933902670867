"""Async twins."""

from __future__ import annotations

import pytest

from notify.exceptions import AsyncContext
from notify.runtime import twins
from notify.runtime.twins import twin


def double(number: int) -> int:
    """Returns twice the number."""
    return 2 * number


async def test_a_twin_does_the_same():
    assert await twin(double)(21) == 42


def test_a_twin_is_named_as_django_names_its_own():
    adouble = twin(double)
    assert adouble.__name__ == adouble.__qualname__ == "adouble"
    assert adouble.__doc__ == "Async version of :func:`double`."


async def test_a_sync_call_where_a_loop_runs_is_refused_with_the_name_of_the_twin(monkeypatch):
    monkeypatch.delenv("DJANGO_ALLOW_ASYNC_UNSAFE", raising=False)
    with pytest.raises(AsyncContext, match=r"notify\.send\(\) would.*await notify\.asend\("):
        twins.refuse_event_loop("notify.send")
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    twins.refuse_event_loop("notify.send")


def test_a_sync_call_elsewhere_is_not_refused():
    twins.refuse_event_loop("notify.send")
