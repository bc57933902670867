"""A worker of RQ: `python -m tests.queues.rq_worker`. With "plain", it does not know the job class."""

from __future__ import annotations

import sys

import django

django.setup()

from rq import Queue, Worker  # noqa: E402

from notify.contrib.rq import Job  # noqa: E402
from tests.queues.gates import connect  # noqa: E402

options = {} if "plain" in sys.argv else {"job_class": Job}
redis = connect()
Worker([Queue(connection=redis, **options)], connection=redis, **options).work()
