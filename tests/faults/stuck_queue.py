"""The application of the test project, with a task queue that hangs when it is asked to take a job out."""

from __future__ import annotations

import threading
from typing import Any

from notify.signals import cancel_asked
from tests.asgi import application as application


def on_cancel(job: str, **kwargs: Any) -> None:
    from notify.tracking import jobs

    jobs.take_out(job, threading.Event().wait)


cancel_asked.connect(on_cancel, dispatch_uid="stuck")
