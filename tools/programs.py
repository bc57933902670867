"""
List the missing programs, before anything is installed or run.

    tools/python tools/programs.py

Needs only Python 3.11, not .venv. With NOTIFY_TEST_REQUIRE_ALL=1, a missing program is an error.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from tests.kit import servers  # noqa: E402


def check_venv() -> None:
    """Exit with a hint if .venv does not exist and cannot be created."""
    made = (PROJECT / ".venv" / ".ready").exists()
    if not made and not all(map(importlib.util.find_spec, ("ensurepip", "venv"))):
        sys.exit(
            "Python's venv module is missing, but everything needs it: apt-get install python3-venv"
        )


def check_node() -> None:
    """Raise an error unless npm is installed, and Node is as new as client/package.json requires."""
    try:
        node = servers.find_program("node", package="nodejs")
    except servers.MissingProgram:
        # Debian's package nodejs does not bring npm, so both are named at once.
        raise servers.MissingProgram("node is missing: apt-get install nodejs npm") from None
    servers.find_program("npm", package="npm")
    package = json.loads((PROJECT / "client" / "package.json").read_text())
    needed = int(re.findall(r"\d+", package["engines"]["node"])[0])
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout.strip()
    if not version.startswith("v") or int(version[1:].split(".")[0]) < needed:
        raise servers.MissingProgram(
            f"node {needed} or newer is needed, but {version or 'a broken one'} is installed:"
            " see https://nodejs.org/en/download for newer versions"
        )


# The programs that the tests need, each with a function that raises MissingProgram.
PROGRAMS: dict[str, Callable[[], object]] = {
    "Chromium": servers.find_chromium,
    "curl": lambda: servers.find_program("curl", package="curl"),
    "Firefox": lambda: servers.find_program("firefox-esr", "firefox", package="firefox-esr"),
    "gettext": servers.find_gettext,
    "git": lambda: servers.find_program("git", package="git"),
    "JavaScript": check_node,
    "MariaDB": servers.MariaDB.check,
    "nginx": servers.Nginx.check,
    "PostgreSQL": servers.PostgreSQL.check,
    "Redis": servers.Redis.check,
}
LATER = {"curl", "Firefox", "MariaDB", "nginx", "PostgreSQL"}  # Only `make test-all` uses these.


def find_missing() -> dict[str, str]:
    """Returns the programs that are missing, each with a sentence that explains how to install it."""
    missing = {}
    for name, check in PROGRAMS.items():
        try:
            check()
        except servers.MissingProgram as error:
            missing[name] = str(error)
    return missing


def main() -> int:
    check_venv()
    missing = find_missing()
    for name, sentence in missing.items():
        print(f"{name}: {sentence}.", file=sys.stderr)
    if missing:
        print("Tests that need a missing program are skipped. To run them too:", file=sys.stderr)
    later = missing.keys() & LATER
    for target, names in (("test", missing.keys() - later), ("test-all", later)):
        packages = {p for n in names for p in missing[n].partition("apt-get install ")[2].split()}
        if packages:
            print(f"make {target}: apt-get install {' '.join(sorted(packages))}", file=sys.stderr)
    return 1 if missing and os.environ.get("NOTIFY_TEST_REQUIRE_ALL") else 0


if __name__ == "__main__":
    sys.exit(main())
