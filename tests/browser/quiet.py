"""The settings of the demo with NOTIFY_ECHO = "quiet"."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403

NOTIFY_ECHO = "quiet"
