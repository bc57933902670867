"""
A process, and a child of it by multiprocessing, that write their names as they end.

    python -m tests.unit.runtime.exits fork before
    python -m tests.unit.runtime.exits spawn within

The function for the exit is registered either before the child starts, or within the child.
"""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any


def write_name() -> None:
    print(multiprocessing.current_process().name, flush=True)


def register() -> None:
    from notify.runtime.process import at_exit

    at_exit(write_name)


def main(method: str, when: str) -> None:
    if when == "before":
        register()
    context: Any = multiprocessing.get_context(method)
    child = context.Process(target=register if when == "within" else int)
    child.start()
    child.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
