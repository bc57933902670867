"""Fixtures of the tests of tasks."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from notify.tracking import wholes
from notify.tracking.decorator import current_job


@pytest.fixture
def no_job(db: None) -> Iterator[None]:
    """
    No job of an earlier test is current, and no whole is remembered.

    Handles that a test drops are collected within it.
    """
    current_job.set(None)
    wholes._wholes.clear()
    yield
    current_job.set(None)
    gc.collect()
