"""A consumer of Huey: `python -m tests.queues.huey_worker process`."""

from __future__ import annotations

import logging
import sys

import django

django.setup()

from huey.contrib.djhuey import HUEY  # noqa: E402

from tests.queues import huey_tasks  # noqa: E402, F401

logging.basicConfig(level=logging.INFO)
HUEY.create_consumer(workers=2, worker_type=sys.argv[1], periodic=False).run()
