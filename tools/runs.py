"""The pytest runs that make up the suite: the folders of their tests, and their environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Run(NamedTuple):
    """One run of pytest."""

    name: str
    folders: Sequence[str]
    marks: str = ""
    env: dict[str, str] = {}
    needs: str = ""  # the name of a program in programs.py
    spread: str = "worksteal"  # how pytest-xdist distributes tests to its workers
    workers: str = "auto"  # how many of them, at most 4
    is_measured: bool = False  # whether to measure coverage, which makes the tests slower by half


POSTGRESQL = {"NOTIFY_TEST_DATABASE": "postgresql", "NOTIFY_TEST_USER": "uuid"}
MARIADB = {"NOTIFY_TEST_DATABASE": "mariadb", "NOTIFY_TEST_USER": "char"}
ON_DATABASES = "database or users"
# Many processes take part in these runs, and asyncio's debugging in Python's development mode would slow
# each of them down by a fifth.
SERVED = {"PYTHONDEVMODE": ""}
DEMO = {"DJANGO_SETTINGS_MODULE": "demo_project.settings"}
UNIT = ["tests/unit", "tests/vectors", "tests/model", "tests/projects"]

QUICK = [
    Run("SQLite", UNIT, "not wheel", is_measured=True),
    Run("Demo", ["tests/projects/demo"], env=DEMO),
    Run("Essentials", ["tests/browser"], "main", needs="Chromium", spread="loadfile"),
]
# The lanes run side by side: while the first computes, the second mostly waits.
# Each database is paired with a different user model, so that all are covered without every combination.
LANES = [
    [
        Run(
            "PostgreSQL",
            ["tests/unit", "tests/conformance"],
            ON_DATABASES,
            {**POSTGRESQL, "NOTIFY_TEST_USE_TZ": "0"},
            needs="PostgreSQL",
            is_measured=True,
        ),
        Run(
            "MariaDB",
            ["tests/unit"],
            ON_DATABASES,
            MARIADB,
            needs="MariaDB",
            is_measured=True,
        ),
        Run("Conformance", ["tests/conformance", "tests/kit"], spread="loadfile"),
        Run("Faults", ["tests/faults"], env=SERVED, workers="4"),  # they wait for half of the time
    ],
    [
        Run(
            "Chromium",
            ["tests/browser"],
            "not main",
            SERVED,
            needs="Chromium",
            spread="loadfile",
        ),
        Run("Queues", ["tests/queues"], env=SERVED, is_measured=True),
    ],
]
REST = [run for lane in LANES for run in lane]
