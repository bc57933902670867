"""Fixtures of the whole suite. A fixture is a noun, and makes what it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.kit import servers


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Leave out what is not about the database or the user model of this run; another run has it.

    So a skip always means a program that is missing.
    """
    left_out = [
        item for item in items if not all(mark.args[0] for mark in item.iter_markers("only_if"))
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def make_user(db: None) -> Callable[[str], Any]:
    """Makes a user of the run's user model from a short name; the password is "demo"."""
    from django.contrib.auth import get_user_model

    model: Any = get_user_model()

    def make(name: str) -> Any:
        email = f"{name}@example.com"
        if model.USERNAME_FIELD == "email":
            return model.objects.create_user(email, "demo", code=name)
        return model.objects.create_user(name, email, "demo")

    return make


@pytest.fixture
def user(make_user: Callable[[str], Any]) -> Any:
    return make_user("alice")


@pytest.fixture
def other_user(make_user: Callable[[str], Any]) -> Any:
    return make_user("bob")


@pytest.fixture
def rings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the doorbell was told to ring."""
    from notify import doorbell

    rung: list[Any] = []
    monkeypatch.setattr(doorbell, "ring", rung.extend)
    return rung


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line of the log is left out because an earlier test has had the same."""
    from notify import log

    monkeypatch.setattr(log, "_last", {})
    monkeypatch.setattr(log, "_left_out", {})


@pytest.fixture
def session(user: Any) -> str:
    """The key of a session in which the user is signed in."""
    from tests.kit.fakes import sign_in

    return sign_in(user)


@pytest.fixture
def failures() -> Iterator[list[Exception]]:
    """The errors with which publishing was left to the sweep."""
    from notify import signals
    from tests.kit.fakes import errors_of

    with errors_of(signals.publish_failed) as errors:
        yield errors


@pytest.fixture
def hub() -> Iterator[Any]:
    """A hub of this process that only notes what it is told."""
    from notify import doorbell
    from tests.kit.fakes import Bystander

    hub = Bystander()
    doorbell.hubs.add(hub)
    yield hub
    doorbell.hubs.discard(hub)


@pytest.fixture
def layer(settings: Any) -> Any:
    """A layer between processes, that may be told to fail."""
    from channels.layers import get_channel_layer

    from tests.kit.fakes import FAKE_LAYER

    settings.CHANNEL_LAYERS = FAKE_LAYER
    return get_channel_layer()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.Redis]:
    """A private Redis for the whole run; a test that kills it restarts it."""
    servers.need(servers.Redis.check)
    with servers.Redis() as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium."""
    return servers.need(servers.find_chromium)
