"""What a worker of Dramatiq imports: `python -m dramatiq tests.contrib.dramatiq_worker`."""

from __future__ import annotations

import django

django.setup()

from tests.contrib import dramatiq_tasks  # noqa: E402, F401
