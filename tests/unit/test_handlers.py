"""Handlers are registered by name, and found in each installed app."""

from __future__ import annotations

from unittest import mock

import pytest
from django.core.exceptions import ImproperlyConfigured

import notify
from notify import handlers


@pytest.fixture(autouse=True)
def no_handlers():
    with mock.patch.dict(handlers._handlers, clear=True):
        yield


def undo(user, notification, order):
    raise NotImplementedError


def redo(user, notification):
    raise NotImplementedError


def test_a_handler_is_found_by_its_name():
    assert notify.action("orders.undo")(undo) is undo
    assert handlers.find("orders.undo") is undo
    assert handlers.find("orders.redo") is None


def test_a_name_belongs_to_one_handler():
    notify.action("orders.undo")(undo)
    notify.action("orders.undo")(
        undo
    )  # the same function again, as in a module that is imported twice
    with pytest.raises(ImproperlyConfigured) as caught:
        notify.action("orders.undo")(redo)
    assert f"{__name__}.undo and {__name__}.redo" in str(caught.value)
    assert "'orders.undo'" in str(caught.value)
    assert handlers.find("orders.undo") is undo


@pytest.mark.parametrize("name", [undo, "", "x" * 101, None])
def test_a_handler_needs_a_name(name):
    with pytest.raises(TypeError, match=r'@notify\.action\("orders\.undo"\)'):
        notify.action(name)


def test_a_similar_name_is_suggested():
    notify.action("orders.undo")(undo)
    assert handlers.similar("order.undo") == "orders.undo"
    assert handlers.similar("something else") is None


def test_an_outcome_takes_its_details_by_name():
    outcome = notify.Outcome("Order 7 is back.", level="warning", url="/orders/7/")
    assert (outcome.message, outcome.level, outcome.url) == (
        "Order 7 is back.",
        "warning",
        "/orders/7/",
    )
    assert notify.Outcome("Back.") == notify.Outcome("Back.", level="success", url="")
