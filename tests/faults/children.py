"""
A process whose task runs in a child, which ends as soon as the task has ended.

    python -m tests.faults.children fork 1
"""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import django


def run_task(user: int) -> None:
    django.setup()
    import notify

    with notify.progress(user, "Importing customers"):
        pass


def main(method: str, user: int) -> int | None:
    import notify  # noqa: F401  # before it forks, as a site has

    context: Any = multiprocessing.get_context(method.removeprefix("pool-"))
    if method.startswith("pool-"):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            pool.submit(run_task, user).result()
        return 0
    child = context.Process(target=run_task, args=[user])
    child.start()
    child.join()
    return int(child.exitcode)


if __name__ == "__main__":
    django.setup()
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
