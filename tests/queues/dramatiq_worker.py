"""The module that a worker of Dramatiq imports: `python -m dramatiq tests.queues.dramatiq_worker`."""

from __future__ import annotations

import django

django.setup()

from tests.queues import dramatiq_tasks  # noqa: E402, F401
