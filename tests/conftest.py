"""Fixtures of the whole test suite."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Generator, Iterator
from functools import cache
from typing import Any

import pytest

from tests.kit import servers

# In development mode, asyncio warns about slow callbacks. On a busy machine, all callbacks are
# slow.
logging.getLogger("asyncio").addFilter(
    lambda record: record.msg != "Executing %s took %.3f seconds"
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Deselect the tests that need another database or user model than this run has.

    They are not skipped, because another run covers them. So a skip always means a missing program.
    """
    left_out = [
        item for item in items if not all(mark.args[0] for mark in item.iter_markers("only_if"))
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """
    If coverage is measured, record which test file reaches each line.

    Processes that a test starts record it too. tools/modules_cov.py then checks that the test file
    of a module covers the whole module.
    """
    coverage = sys.modules.get("coverage")
    measured = coverage and coverage.Coverage.current()
    # The tracer of Python 3.14 does not support contexts.
    if measured and sys.version_info < (3, 14):
        file = item.path.relative_to(item.config.rootpath).as_posix()
        measured.switch_context(file)
        measured.set_option("run:context", file)
        os.environ["COVERAGE_PROCESS_CONFIG"] = measured.config.serialize()
    return (yield)


# Filled by migrations. Django's flush would empty these tables too, and then fill them again.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


@cache
def tables_of(alias: str) -> list[str]:
    """The tables of a test database to which a test may have written."""
    from django.db import connections

    tables = connections[alias].introspection.django_table_names(include_views=False)
    return sorted(set(tables) - KEPT)


def empty_tables(test_case: Any) -> None:
    """
    Delete the rows that a test has committed.

    A flush does the same more slowly: on PostgreSQL and MariaDB it truncates, which creates new
    files for each table, and on every database it looks for content types and permissions to
    create.
    """
    from django.db import connections, transaction

    for alias in test_case._databases_names(include_mirrors=False):
        connection = connections[alias]
        with (
            transaction.atomic(alias),
            connection.constraint_checks_disabled(),
            connection.cursor() as cursor,
        ):
            for table in tables_of(alias):
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


@pytest.fixture(scope="session", autouse=True)
def tests_delete_what_they_commit() -> None:
    """Run ``empty_tables()`` after each test that commits, in place of Django's flush."""
    from django.test import TransactionTestCase

    TransactionTestCase._fixture_teardown = empty_tables


@pytest.fixture(scope="session")
def django_db_modify_db_settings_parallel_suffix() -> None:
    """
    Keep the names of the databases, because tests/settings.py has already given each worker its
    own.
    """


@pytest.fixture
def make_user(db: None) -> Callable[[str], Any]:
    """Returns a function that creates a user from a short name. The password is "demo"."""
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
    """The pages that the doorbell was asked to ring."""
    from notify import doorbell

    rung: list[Any] = []
    monkeypatch.setattr(doorbell, "ring", rung.extend)
    return rung


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the limits of the log, so that no line is left out because an earlier test logged it."""
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
    """The errors of failed publishes, which were left to the sweep."""
    from notify import signals
    from tests.kit.fakes import errors_of

    with errors_of(signals.publish_failed) as errors:
        yield errors


@pytest.fixture
def hub() -> Iterator[Any]:
    """A hub of this process that only records its calls."""
    from notify import doorbell
    from tests.kit.fakes import HubRecorder

    hub = HubRecorder()
    doorbell.hubs.add(hub)
    yield hub
    doorbell.hubs.discard(hub)


@pytest.fixture
def layer(settings: Any) -> Any:
    """A channel layer between threads that can be made to fail."""
    from channels.layers import get_channel_layer

    from tests.kit.fakes import FAKE_LAYER

    settings.CHANNEL_LAYERS = FAKE_LAYER
    return get_channel_layer()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.Redis]:
    """A private Redis for the whole run. A test that kills it must restart it."""
    servers.need(servers.Redis.check)
    with servers.Redis() as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> str:
    return servers.need(servers.find_chromium)
