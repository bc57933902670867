"""A notification on the wire: its moments, what it rarely has, and what of its actions a browser receives."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from django.db import models
from django.test import override_settings

from notify import encoding
from notify.encoding import shown_actions, timestamp
from notify.models import Notification

LINK = {"label": "Open", "url": "/orders/7/"}
UNDO = {"label": "Undo", "run": "orders.undo", "args": {"order": "secret-7"}}
OUTCOME = {"action": 0, "message": "Order 7 is back.", "level": "success", "url": ""}


def encoded(**values: Any) -> Any:
    return json.loads(Notification(pk=7, message="Hello", **values).encode())


def test_every_moment_of_the_table_is_on_the_wire():
    """A new column for a moment must be named in one of the two ways."""
    fields = Notification._meta.concrete_fields
    moments = {field.name for field in fields if isinstance(field, models.DateTimeField)}
    assert moments == {*encoding.MOMENTS, "acted_at"}


def test_what_is_rare_is_left_out():
    assert not {"progress", "group", "image", "toast", "acted_at", "outcome"} & set(encoded())
    document = encoded(group="exports", image="/face.png", has_toast=False)
    assert (document["group"], document["image"], document["toast"]) == (
        "exports",
        "/face.png",
        False,
    )


def test_an_outcome_is_shown_with_its_moment():
    document = encoded(acted_at=datetime(2026, 11, 20, 23, 0, tzinfo=UTC), outcome=OUTCOME)
    assert document["acted_at"] == "2026-11-20T23:00:00+00:00"
    assert document["outcome"] == OUTCOME


def test_the_handler_and_its_arguments_stay_on_the_server():
    text = Notification(pk=7, message="Hello", actions=[LINK, UNDO]).encode()
    assert json.loads(text)["actions"] == [LINK, {"label": "Undo", "run": True}]
    assert "orders.undo" not in text
    assert "secret-7" not in text


def test_the_style_and_the_question_are_shown():
    """An empty text is left out. A member that this version does not know never leaves the server."""
    styled = {**UNDO, "style": "danger", "confirm": "Really?", "later": "secret"}
    assert shown_actions([styled]) == [
        {"label": "Undo", "style": "danger", "confirm": "Really?", "run": True}
    ]
    assert shown_actions([{**UNDO, "style": "", "confirm": ""}]) == [{"label": "Undo", "run": True}]
    assert shown_actions([]) == []


def test_a_moment_on_the_wire():
    """It is ISO 8601 in UTC. A naive time is in Django's time zone."""
    moment = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
    assert timestamp(None) is None
    assert timestamp(moment) == "2026-11-20T23:00:00+00:00"
    assert timestamp(moment.astimezone(timezone(timedelta(hours=5)))) == timestamp(moment)
    with override_settings(TIME_ZONE="Europe/Vienna"):
        assert timestamp(datetime(2026, 11, 21, 0, 0)) == timestamp(moment)
