"""
Run the Python tests: all on SQLite, then those that another database or user model could break,
then those with workers of task queues, those that break real servers, and those in Chromium. Where all of
it runs, coverage is measured, but of the faults, where time counts.

    python tools/test.py                     everything
    python tools/test.py --without Faults    all but this run
    python tools/test.py -k outbox           arguments for pytest, in each run
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from tests.kit import servers

# The name of each run, the mark of its tests, its environment (see tests/settings.py).
RUNS: list[tuple[str, str, dict[str, str]]] = [
    ("SQLite", "", {}),
    ("PostgreSQL", "database", {"NOTIFY_TEST_DATABASE": "postgresql"}),
    ("MariaDB", "database", {"NOTIFY_TEST_DATABASE": "mariadb"}),
    ("UUID keys", "users", {"NOTIFY_TEST_USER": "uuid", "NOTIFY_TEST_USE_TZ": "0"}),
    ("text keys", "users", {"NOTIFY_TEST_USER": "char"}),
    ("Demo", "demo", {"DJANGO_SETTINGS_MODULE": "demo_project.settings"}),
    ("Queues", "queues", {}),
    ("Faults", "faults", {}),
    ("Chromium", "browser", {}),
]
SELECT = {
    "": "not (browser or faults or queues or wheel)",
    "database": "database and not browser",
    "users": "users and not browser",
    "browser": "browser",
    "faults": "faults",
    "queues": "queues",
    "demo": "",
}
FOLDERS = {"demo": "tests/demo"}  # the demo has settings of its own
NEEDS = {
    "PostgreSQL": servers.PostgreSQL.check,
    "MariaDB": servers.MariaDB.check,
    "Chromium": servers.find_chromium,
    "Redis": servers.Redis.check,
    "nginx": servers.Nginx.check,
    "curl": lambda: servers.find_program("curl", package="curl"),
}
NOTHING_SELECTED = 5  # pytest's exit code


def find_missing() -> set[str]:
    """The parts that cannot run here, each said in one line."""
    missing = set()
    for name, check in NEEDS.items():
        try:
            check()
        except servers.MissingProgram as error:
            print(f"{name}: {error} (its tests are skipped)")
            missing.add(name)
    return missing


class Found:
    """A plugin of pytest that notes the tests that it finds."""

    tests: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.tests = session.items


def find_runs(arguments: list[str]) -> list[tuple[str, str, dict[str, str]]]:
    """The runs that have something to do with these arguments for pytest."""
    if not arguments:
        return RUNS
    if "-m" in arguments:  # the caller's marks take the place of the runs'
        return RUNS[:1]
    found = Found()
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(["--collect-only", *arguments], plugins=[found])
    marks = {mark.name for test in found.tests for mark in test.iter_markers()}
    return [run for run in RUNS if run[1] in {"", "demo", *marks}]


def run(name: str, mark: str, env: dict[str, str], arguments: list[str], measured: bool) -> int:
    """The exit code of pytest."""
    print(f"\n=== {name}", flush=True)
    start = time.monotonic()
    measure = ["-m", "coverage", "run"] if measured and mark != "faults" else []
    command = [sys.executable, *measure, "-m", "pytest", "-q", "-m", SELECT[mark], *arguments]
    if mark in FOLDERS and not any(argument.startswith("tests") for argument in arguments):
        command.append(FOLDERS[mark])
    environment = {**os.environ, "PYTHONDEVMODE": "1", **env}
    code = subprocess.run(command, cwd=PROJECT, env=environment).returncode
    print(f"=== {name}: {time.monotonic() - start:.0f} s", flush=True)
    return code


def coverage(*arguments: str) -> bool:
    command = [sys.executable, "-m", "coverage", *arguments]
    return subprocess.run(command, cwd=PROJECT).returncode == 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--without", action="append", default=[], choices=[name for name, *_ in RUNS]
    )
    given, arguments = parser.parse_known_args(arguments)
    missing = find_missing()
    if missing and os.environ.get("NOTIFY_TEST_REQUIRE_ALL"):
        return 1
    measured = not (arguments or given.without)
    if measured:
        coverage("erase")
    codes = {
        name: run(name, mark, env, arguments, measured)
        for name, mark, env in find_runs(arguments)
        if name not in {*missing, *given.without}
    }
    # A narrowed run may be empty where another one has the tests.
    empty = {NOTHING_SELECTED} if arguments and set(codes.values()) != {NOTHING_SELECTED} else set()
    failed = [name for name, code in codes.items() if code not in {0} | empty]
    if measured:
        coverage("combine", "-q")
        # The gate is for the whole suite.
        if not coverage("report", *(["--fail-under=0"] if missing else [])):
            failed.append("coverage")
    if failed:
        print(f"\nFailed: {', '.join(failed)}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
