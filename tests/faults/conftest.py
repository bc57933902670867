from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.world import World, copy_sqlite, migrate, served, sqlite
from tests.kit import servers

numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database to copy."""
    path = tmp_path_factory.mktemp("template") / "notify.sqlite3"
    migrate(sqlite(path))
    return path


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[servers.PostgreSQL]:
    """A private PostgreSQL with a migrated database "notify". Each world gets a copy of it."""
    servers.need(servers.PostgreSQL.check)
    with servers.PostgreSQL() as server:
        execute_on(server, "CREATE DATABASE notify")
        migrate(served("postgresql", "notify", server.port))
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[servers.MariaDB]:
    """A private MariaDB with a migrated database, which the worlds share with different users."""
    servers.need(servers.MariaDB.check)
    import pymysql

    with servers.MariaDB() as server:
        with pymysql.connect(host="127.0.0.1", port=server.port, user="root") as connection:
            connection.cursor().execute("CREATE DATABASE notify CHARACTER SET utf8mb4")
        migrate(served("mysql", "root", server.port))
        yield server
        server.kill()


def execute_on(server: servers.PostgreSQL, statement: str) -> None:
    import psycopg

    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


@pytest.fixture
async def make_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Callable[..., Any]]:
    """
    Returns a function that makes a world:

        world = await make_world("postgresql", layer=pubsub(url), NOTIFY_SWEEP_INTERVAL=1)

    The database is "sqlite" (a private file), "postgresql" (a private database), "mariadb", or an
    entry of DATABASES.
    """
    async with AsyncExitStack() as stack:

        async def make(
            database: str | dict[str, Any] = "sqlite", *, layer: Any = None, **settings: Any
        ) -> World:
            folder = tmp_path_factory.mktemp("world")
            if isinstance(database, str):
                database = find_database(request, database, folder)
            world = World(database, folder, layer=layer, **settings)
            return await stack.enter_async_context(world)

        yield make


def find_database(request: pytest.FixtureRequest, kind: str, folder: Path) -> dict[str, Any]:
    if kind == "sqlite":
        return copy_sqlite(request.getfixturevalue("sqlite_template"), folder)
    if kind == "postgresql":
        server = request.getfixturevalue("postgresql_server")
        name = f"world{next(numbers)}"
        execute_on(server, f"CREATE DATABASE {name} TEMPLATE notify")
        return served("postgresql", "notify", server.port, name)
    if kind == "mariadb":
        return served("mysql", "root", request.getfixturevalue("mariadb_server").port)
    raise ValueError(f"{kind!r} is no database of the fault suite.")


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database(request: pytest.FixtureRequest) -> str:
    """Each database in turn."""
    kind: str = request.param
    return kind
