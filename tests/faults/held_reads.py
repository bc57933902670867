"""
The application of the test project, in which the reads of some mailboxes hang.

They hang while the file that the setting HELD_READS names lists their users. Each read that hangs adds a line
to the file beside it, whose name ends in ".begun".
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.asgi import application as application


def is_held(key: Any) -> bool:
    path = Path(settings.HELD_READS)
    return path.exists() and str(key) in path.read_text().split()


def hold_reads() -> None:
    from notify.live.source import Mailboxes

    read = Mailboxes.read

    def read_later(self: Mailboxes, key: Any, since: Any) -> Any:
        if is_held(key):
            with open(f"{settings.HELD_READS}.begun", "a") as begun:
                print(key, file=begun)
            while is_held(key):
                time.sleep(0.01)
        return read(self, key, since)

    Mailboxes.read = read_later  # type: ignore[method-assign]


hold_reads()
