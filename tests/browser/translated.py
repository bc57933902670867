"""The settings of the demo in a made-up language, whose catalogue is in the folder NOTIFY_TEST_LOCALE."""

from __future__ import annotations

import os

from demo_project.settings import *  # noqa: F403
from tests.kit.translation import LANGUAGE

LANGUAGE_CODE = LANGUAGE
LANGUAGES = [(LANGUAGE, "Made up")]
LOCALE_PATHS = [os.environ["NOTIFY_TEST_LOCALE"]]
