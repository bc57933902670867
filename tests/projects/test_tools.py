"""The tools behind the Makefile."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kit import servers
from tests.kit.servers import PROJECT

TOOLS = PROJECT / "tools"


def run(tool: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, TOOLS / tool, *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def prose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The sentences that prose.py finds in a file with this text."""
    monkeypatch.syspath_prepend(str(TOOLS))
    import prose as tool

    def find(text: str, name: str = "text.md") -> list[tuple[int, str]]:
        path = tmp_path / name
        path.write_text(text)
        return [(line, sentence) for line, sentence, _ in tool.find_faults(path)]

    return find


# -- prose.py ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sentence",
    [
        "Who comes late is served.",
        "Whoever comes late is served.",
        "What came late is served.",
        "A ring that cannot be read is none.",
        "Whether it is late.",
        "A user sees his toasts.",
        "The user closes it where he wants.",
    ],
)
def test_a_sentence_that_stumbles_is_found(prose, sentence):
    assert prose(f"All is well.\n\nIt is fine. {sentence} So it ends.\n") == [(3, sentence)]
    assert prose(f"def f():\n    # {sentence}\n    pass\n", "code.py") == [(2, sentence)]
    assert prose(f'def f():\n    """\n    Say it.\n\n    {sentence}\n    """\n', "code.py")
    assert prose(f"/**\n * {sentence}\n */\n", "code.js") == [(2, sentence)]


@pytest.mark.parametrize(
    "text",
    [
        "Who comes late?",
        "It says who comes late, and what comes first.",
        "Returns whether it is late.",
        "The others, and there the theme, this and the history.",
        "# What it is not",
        "```python\n# What is code is left alone.\n```",
        "| Folder | What it holds |\n|---|---|\n| `notify/` | the app |",
        "Call `what()`.",
    ],
)
def test_a_sentence_that_does_not_is_let_be(prose, text):
    assert prose(text) == []


def test_sentences_are_counted_by_file():
    """The report never fails."""
    done = run("prose.py", "--report")
    assert done.returncode == 0
    assert re.search(r"^\d+ sentences to rewrite\.$", done.stdout, re.MULTILINE)


# -- check_port.py -------------------------------------------------------------------------------


@pytest.mark.parametrize("port", ["abc", "70000", "", "0", "-1", "80.5"])
def test_what_is_no_port_is_answered_with_a_port(port):
    done = run("check_port.py", port)
    assert done.returncode == 1
    assert done.stderr == (
        f"PORT={port} is not a port number from 1 to 65535. Try: make demo PORT=8000\n"
    )


def test_a_port_that_is_taken_is_answered_with_another():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("check_port.py", str(port))
    assert done.returncode == 1
    assert f"Port {port} cannot be used" in done.stderr
    assert run("check_port.py", str(port)).returncode == 0


# -- programs.py ---------------------------------------------------------------------------------


def test_missing_programs_are_listed_with_all_that_installs_them(monkeypatch, capsys):
    """In one command for each of make test and make test-all. Debian has npm apart from Node."""
    monkeypatch.syspath_prepend(str(TOOLS))
    import programs

    def find_nothing(*names: str, package: str) -> str:
        raise servers.MissingProgram(f"{names[0]} is missing: apt-get install {package}")

    monkeypatch.setattr(servers, "find_program", find_nothing)
    monkeypatch.delenv("NOTIFY_TEST_REQUIRE_ALL", raising=False)
    assert programs.main() == 0
    *_, heading, quick, rest = capsys.readouterr().err.splitlines()
    assert heading == "Tests that need a missing program are skipped. To run them too:"
    assert quick == "make test: apt-get install chromium gettext git nodejs npm redis-server"
    assert (
        rest
        == "make test-all: apt-get install curl firefox-esr mariadb-server nginx-light postgresql"
    )
    monkeypatch.setenv("NOTIFY_TEST_REQUIRE_ALL", "1")
    assert programs.main() == 1


# -- test.py -------------------------------------------------------------------------------------


def test_arguments_that_fit_no_test_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_TEST_RESULTS", str(tmp_path))
    done = run("test.py", "tests/projects/test_tools.py", "-k", "no_such_test")
    assert done.returncode == 1
    assert "No test matches: tests/projects/test_tools.py -k no_such_test" in done.stdout


def test_an_interrupted_run_leaves_nothing(tmp_path):
    """When it returns, its servers have ended and their folders are removed."""
    servers.need(servers.Redis.check)
    folder, results = tmp_path / "files", tmp_path / "results"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, TOOLS / "test.py", "tests/kit/test_servers.py", "-k", "redis", "-s"],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "NOTIFY_TEST_RESULTS": str(results)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(folder.glob("notify-*/notify-*/log")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGINT
    assert list(folder.iterdir()) == []
