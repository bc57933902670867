from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.kit import servers

APPLICATION = "tests.kit.test_servers:application"
SITE = ("https.conf", "127.0.0.1:1")


async def application(scope, receive, send):
    """A minimal web site."""
    assert scope["type"] in ("http", "lifespan")
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture(
    params=[
        servers.PostgreSQL,
        servers.MariaDB,
        servers.Redis,
        lambda: servers.Nginx(*SITE),
        lambda: servers.Daphne(APPLICATION),
        lambda: servers.Uvicorn(APPLICATION),
        lambda: servers.Hypercorn(APPLICATION),
        lambda: servers.Granian(APPLICATION),
    ],
    ids=["postgresql", "mariadb", "redis", "nginx", "daphne", "uvicorn", "hypercorn", "granian"],
)
def server(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    server = request.param()
    servers.need(server.check)
    with server:
        yield server


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_dead(pid: int) -> None:
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline, f"Process {pid} is still alive."
        time.sleep(0.02)


def test_a_killed_server_comes_back_on_its_port(server):
    """After kill -9, a restart brings the server back with the same address and data."""
    first = server.pid
    server.kill()
    assert not alive(first)
    assert not server.running
    server.restart()
    assert server.pid != first
    server.ping()


def test_a_stopped_server_leaves_nothing(server):
    pid, folder = server.pid, server.folder
    server.close()
    assert not alive(pid)
    assert not folder.exists()


def test_a_server_dies_with_its_parent(server):
    """No process is left over, even if the tests are ended with kill -9."""
    name = type(server).__name__
    arguments = repr(APPLICATION) if isinstance(server, servers.Web) else ""
    if isinstance(server, servers.Nginx):
        arguments = f"*{SITE}"
    script = (
        "import time; from tests.kit import servers\n"
        f"server = servers.{name}({arguments}); server.start()\n"
        "print(server.pid, server.folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=servers.PROJECT
    ) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        assert alive(int(pid))
        os.kill(parent.pid, signal.SIGKILL)
    wait_until_dead(int(pid))
    subprocess.run(["rm", "-r", folder], check=True)


def test_a_server_that_cannot_start_says_why():
    """The error contains the output of the program."""
    with (
        pytest.raises(servers.ServerFailed, match="nowhere"),
        servers.Uvicorn("tests.nowhere:application"),
    ):
        pass


def test_a_missing_program_is_a_skip_unless_all_are_required(monkeypatch):
    def get():
        return servers.find_program("no-such-program", package="nothing")

    monkeypatch.delenv("NOTIFY_TEST_REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install nothing"):
        servers.need(get)
    monkeypatch.setenv("NOTIFY_TEST_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install nothing"):
        servers.need(get)
