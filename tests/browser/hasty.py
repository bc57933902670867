"""The demo, whose tasks are soon thought to be lost."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403

NOTIFY_PROGRESS_SILENT_AFTER = 2
NOTIFY_PROGRESS_LOST_AFTER = 9
