"""The demo, in which tasks are considered lost after a short time."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403

NOTIFY_PROGRESS_LOST_AFTER = 10
