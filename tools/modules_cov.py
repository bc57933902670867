"""
Check that each module of notify is covered by its own test file alone.

    make test-all                  # checks it at the end
    python tools/modules_cov.py    # checks it again

If only the tests of other modules reach a line, no test specifies that line. The script runs no tests,
because in the measured run tests/conftest.py recorded which test files reach each line.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import coverage

PROJECT = Path(__file__).resolve().parent.parent
WANTED = 95  # percent
# The adapters need a task queue, so their tests are in tests/queues.
OWN = {"contrib/htmx.py": "tests/unit/contrib/", "contrib/": "tests/queues/"}
IMPORTED = "^$"  # the context of lines that run on import, before any test


def test_file_of(module: str) -> str:
    """Returns the test file of a module below notify/, as tests/unit/test_layout.py requires it."""
    for beginning, folder in OWN.items():
        if module.startswith(beginning):
            return f"{folder}test_{Path(module).stem.strip('_')}.py"
    return str(Path("tests/unit", module).with_name(f"test_{Path(module).stem.strip('_')}.py"))


def main() -> bool:
    """Print the modules below the threshold. Returns whether there are none."""
    if sys.version_info >= (3, 14):  # the faster tracer of these versions records no test files
        return True
    measured = coverage.Coverage(context="")
    measured.load()
    behind = []
    for path in sorted((PROJECT / "notify").rglob("*.py")):
        module = path.relative_to(PROJECT / "notify").as_posix()
        if module.startswith("migrations/") or not path.read_text().strip():
            continue
        test = test_file_of(module)
        try:
            percent = measured.report(
                [str(path)],
                contexts=[IMPORTED, f"^{test}$"],
                file=io.StringIO(),
                skip_covered=False,
            )
        except coverage.exceptions.NoDataError:
            percent = 0.0
        if percent < WANTED:
            behind.append(f"{percent:5.1f} %  notify/{module} by {test}")
    for line in sorted(behind):
        print(line)
    print(f"{len(behind)} modules are covered by less than {WANTED} % by their own test file.")
    return not behind


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
