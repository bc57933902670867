"""
Make a release: python tools/release.py 0.1.0

The script dates the changelog, sets the version, commits and tags. It does not push or upload anything.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CHANGELOG = PROJECT / "CHANGELOG.md"
MODULE = PROJECT / "notify/__init__.py"


def git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def replace_once(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.MULTILINE)
    if not count:
        sys.exit(f"No line of {path.name} matches {pattern}")
    path.write_text(text)


def main(arguments: list[str]) -> None:
    if len(arguments) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+", arguments[0]):
        sys.exit("The version is missing or invalid: make release VERSION=X.Y.Z")
    version = arguments[0]
    if git("status", "--porcelain"):
        sys.exit("There are uncommitted changes. Commit them first.")
    heading = f"## Unreleased\n\n## {version} ({date.today():%Y-%m-%d})"
    replace_once(CHANGELOG, r"^## \[?Unreleased\]?$", heading)
    replace_once(MODULE, r'^__version__ = ".*"', f'__version__ = "{version}"')
    git("commit", "-qam", f"Version {version}")
    git("tag", version)
    print(f"Tagged {version}. To publish: git push --follow-tags, python -m build, twine upload.")


if __name__ == "__main__":
    main(sys.argv[1:])
