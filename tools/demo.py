"""
Run the demo site and its worker from the Procfile: python tools/demo.py 8000

honcho ends both on Ctrl-C and on SIGTERM. This script does the same when the terminal is closed (SIGHUP);
otherwise both would keep running, because each is in its own session.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Printer

PROJECT = Path(__file__).resolve().parent.parent
ENDED = {130, 143}  # honcho's exit codes after Ctrl-C and SIGTERM


def stop_printing() -> None:
    """Discard all output. Otherwise printing to a closed terminal fails, and honcho does not finish."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def hang_up(number: int, frame: Any) -> None:
    stop_printing()
    os.kill(os.getpid(), signal.SIGTERM)


class Output(Printer):
    """Ends the demo when its output is no longer read, as after `make demo | head`."""

    def write(self, *args: Any) -> None:
        try:
            super().write(*args)
        except OSError:
            stop_printing()
            # Delayed, because honcho can only end processes whose start it has registered.
            threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()


def watch_terminal() -> None:
    """Send SIGHUP once the terminal is closed. If it runs make without a shell, make does not forward it."""
    terminal = select.poll()
    terminal.register(0, 0)  # poll() always reports a hangup, even with an empty event mask.
    terminal.poll()
    os.kill(os.getpid(), signal.SIGHUP)


def main(port: str) -> int:
    os.chdir(PROJECT)
    for command in (["migrate", "-v", "0"], ["demo_users"], ["demo_history"], ["check"]):
        done = subprocess.run([sys.executable, "manage.py", *command])
        if done.returncode:
            return done.returncode
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    env = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "PORT": port}
    manager = Manager(Output(sys.stdout))
    for name, command in parse_procfile(Path("Procfile").read_text()).processes.items():
        manager.add_process(name, command, env=env)
    print(f"The site: http://127.0.0.1:{port}/  Press Ctrl-C to quit.", flush=True)
    signal.signal(signal.SIGHUP, hang_up)
    if os.isatty(0):
        threading.Thread(target=watch_terminal, daemon=True).start()
    manager.loop()
    return 0 if manager.returncode in ENDED else manager.returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:  # Ctrl-C before honcho has started
        sys.exit(0)
