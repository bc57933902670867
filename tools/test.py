"""
Run the Python tests: in parallel, on each database, with real servers, in Chromium.

    python tools/test.py                  the runs of `make test`: unit tests, demo, the essentials
    python tools/test.py --rest           all other runs, in two lanes side by side
    python tools/test.py --only Faults    one run by its name
    python tools/test.py -k outbox        arguments for pytest; add --all to pass them to every run

All files go to one temporary folder, which is removed at the end, even after Ctrl-C. If
NOTIFY_TEST_COVERAGE is set, coverage is collected from the quick runs on, and checked after the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import modules_cov
from programs import find_missing
from runs import LANES, QUICK, REST, Run

PROJECT = Path(__file__).resolve().parent.parent
RESULTS = Path(os.environ.get("NOTIFY_TEST_RESULTS", PROJECT / "test-results"))
NO_TESTS = 5  # pytest's exit code
GRACE = 30.0  # seconds that an interrupted run has to end its servers


class Runner:
    """Runs pytest in several processes at a time, and stops them together."""

    def __init__(self, missing: Iterable[str], *, is_measuring: bool) -> None:
        self.missing = missing
        self.is_measuring = is_measuring
        self.is_stopped = False
        self.codes: dict[str, int] = {}
        self.times: list[str] = []
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._printing = threading.Lock()

    def run(self, runs: Iterable[Run], arguments: Sequence[str], *, is_lane: bool = False) -> None:
        """Run one after the other. A lane logs to files, and prints each log when its run is complete."""
        for run in runs:
            if self.is_stopped:
                break
            if run.needs in self.missing:
                self.times.append(f"{run.name}: skipped, because {run.needs} is missing")
                continue
            print("" if is_lane else f"\n=== {run.name}", flush=True)
            log = RESULTS / f"{run.name}.log"
            start = time.monotonic()
            with log.open("wb") if is_lane else contextlib.nullcontext() as output:
                self.codes[run.name], cpu = self._pytest(run, arguments, output)
            took = f"{run.name}: {time.monotonic() - start:.0f} s, {cpu:.0f} s of processor time"
            self.times.append(took)
            with self._printing:
                if is_lane:
                    print(f"=== {run.name}\n{log.read_text(errors='replace')}", end="")
                print(f"=== {took}", flush=True)

    def run_side_by_side(self, lanes: Iterable[Sequence[Run]]) -> None:
        threads = [
            threading.Thread(target=self.run, args=(lane, []), kwargs={"is_lane": True})
            for lane in lanes
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _pytest(self, run: Run, arguments: Sequence[str], output: Any) -> tuple[int, float]:
        """Run pytest. Returns the exit code, and the CPU seconds of all its processes."""
        measure = ["-m", "coverage", "run"] if self.is_measuring and run.is_measured else []
        command = [sys.executable, *measure, "-m", "pytest", "-q"]
        command += [f"--junitxml={RESULTS / run.name}.xml"]
        command += ["-m", run.marks] if run.marks and "-m" not in arguments else []
        command += arguments or ["-n", run.workers, "--maxprocesses", "4", "--dist", run.spread]
        command += [] if paths_in(arguments) else run.folders
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, "PYTHONDEVMODE": "1", **run.env},
            stdout=output,
            stderr=output,
            process_group=0,  # Only this script receives Ctrl-C, and stop() forwards it once.
        )
        self._processes[process.pid] = process
        if self.is_stopped:
            self.stop()
        _, status, usage = os.wait4(process.pid, 0)
        del self._processes[process.pid]
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, usage.ru_utime + usage.ru_stime

    def stop(self, number: int = signal.SIGINT, frame: Any = None) -> None:
        """Interrupt all runs, so that they end their servers. A second call kills the runs."""
        if number == signal.SIGHUP:  # The terminal is closed, so printing to it would fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
        how = signal.SIGKILL if self.is_stopped else signal.SIGINT
        if not self.is_stopped:
            threading.Thread(target=self._kill_later, daemon=True).start()
        self.is_stopped = True
        for pid in list(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, how)

    def _kill_later(self) -> None:
        time.sleep(GRACE)
        self.stop()


def paths_in(arguments: Iterable[str]) -> list[Path]:
    """Returns the files and folders among the arguments for pytest."""
    paths = [PROJECT / argument.partition("::")[0] for argument in arguments]
    return [path for path in paths if path.exists()]


def runs_for(runs: Iterable[Run], arguments: Sequence[str]) -> list[Run]:
    """Returns the runs that may contain tests for these arguments."""

    def holds(run: Run, path: Path) -> bool:
        folders = [PROJECT / folder for folder in run.folders]
        return any(path.is_relative_to(f) or f.is_relative_to(path) for f in folders)

    paths = paths_in(arguments)
    return [run for run in runs if not paths or any(holds(run, path) for path in paths)]


def print_slowest(runs: Iterable[Run]) -> None:
    files = [RESULTS / f"{run.name}.xml" for run in runs]
    found = [
        (float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}", file.stem)
        for file in files
        if file.exists()
        for case in ElementTree.parse(file).iter("testcase")
    ]
    print("\nThe 20 slowest tests:")
    for seconds, name, run in sorted(found, reverse=True)[:20]:
        print(f"{seconds:6.1f} s  {run}: {name}")


def coverage(*arguments: str) -> bool:
    command = [sys.executable, "-m", "coverage", *arguments]
    return subprocess.run(command, cwd=PROJECT).returncode == 0


def main(arguments: list[str]) -> int:
    names = [run.name for run in (*QUICK, *REST)]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--rest", action="store_true")
    parser.add_argument("--only", action="append", default=[], choices=names)
    given, arguments = parser.parse_known_args(arguments)
    missing = find_missing()
    if missing and os.environ.get("NOTIFY_TEST_REQUIRE_ALL"):
        print("\n".join(missing.values()))
        return 1
    runs = REST if given.rest else [*QUICK, *REST] if given.all or given.only else QUICK
    runs = [run for run in runs if not given.only or run.name in given.only]
    runs = runs_for(runs, arguments) or runs_for(REST, arguments)
    is_whole = runs in (QUICK, REST) and not arguments
    is_measuring = is_whole and bool(os.environ.get("NOTIFY_TEST_COVERAGE"))
    runner = Runner(missing, is_measuring=is_measuring)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, runner.stop)
    RESULTS.mkdir(exist_ok=True)
    for old in RESULTS.glob("*.xml"):
        old.unlink()
    if is_measuring and runs == QUICK:
        coverage("erase")
    with tempfile.TemporaryDirectory(prefix="notify-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o1777)  # If the tests run as root, the databases run as other users.
        os.environ["TMPDIR"] = folder
        if is_whole and runs == REST:
            runner.run_side_by_side(LANES)
        else:
            runner.run(runs, arguments)
    if runner.is_stopped:
        return 128 + signal.SIGINT
    if set(runner.codes.values()) == {NO_TESTS}:
        print(f"\nNo test matches: {' '.join(arguments)}")
        return 1

    print_slowest(runs)
    print("\n" + "\n".join(runner.times))
    # If arguments narrow the suite, some runs have no tests, which is not a failure.
    fine = {0} if is_whole else {0, NO_TESTS}
    failed = [name for name, code in runner.codes.items() if code not in fine]
    if is_measuring and runs == REST:
        coverage("combine", "-q")
        # The coverage thresholds apply only if no run was skipped.
        if not coverage("report", *(["--fail-under=0"] if missing else [])):
            failed.append("coverage")
        if not missing and not modules_cov.main():
            failed.append("coverage of the modules by their own tests")
    if is_whole and runs == QUICK:
        print(f"\nNot run: {', '.join(run.name for run in REST)}.")
        print("`make test-all` runs these too, and `make check` runs all checks of CI.")
    if failed:
        print(f"\nFailed: {', '.join(failed)}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
