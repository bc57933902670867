"""
Run many schedules, and report their steps.

    python -m tests.model --schedules 100000 --seed 1
    python -m tests.model --seed 4711 --schedules 1 --calm      one of them again
    python -m tests.model --without the-sweep                   what breaks without a rule
    python -m tests.model --hunt                                for each rule, a seed that needs it
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.model.rules import RULES
from tests.model.schedule import FAULTS, describe, run, shorten

TRIES = 1500  # schedules within which a left-out rule must cause a violation


def hunt(first: int) -> int:
    """Print, for each rule, the first seed from here on that breaks a promise without it."""
    unmissed = []
    for name, rule in RULES.items():
        seeds = range(first, first + TRIES)
        calm = rule.is_calm
        found = (seed for seed in seeds if run(seed, calm=calm, left_out=name).violation)
        seed = next(found, None)
        if seed is None:
            unmissed.append(name)
        else:
            print(f'    "{name}": {seed},', flush=True)
    for name in unmissed:
        print(f"No history of {TRIES} misses {name}.")
    return 1 if unmissed else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--schedules", type=int, default=5000)
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first; each next one is one more"
    )
    parser.add_argument("--calm", action="store_true", help="no faults and no sweep: rings suffice")
    parser.add_argument("--without", default="", choices=["", *RULES], metavar="RULE")
    parser.add_argument("--hunt", action="store_true", help="print counterexamples.py's table anew")
    given = parser.parse_args(arguments)
    if given.hunt:
        return hunt(given.seed)
    did: Counter[str] = Counter()
    start = time.perf_counter()
    for number in range(given.schedules):
        seed = given.seed + number
        # Every fifth schedule is calm.
        calm = given.calm or (not given.without and seed % 5 == 0)
        outcome = run(seed, calm=calm, left_out=given.without)
        did.update(outcome.did)
        if outcome.violation:
            short = shorten(outcome, calm=calm, left_out=given.without)
            again = f"--seed {seed} --schedules 1{' --calm' if calm else ''}"
            without = f" --without {given.without}" if given.without else ""
            print(f"Schedule {number + 1} broke a promise. The shortest history found:\n")
            print(describe(short))
            print(f"\nAgain: python -m tests.model {again}{without}")
            return 1
    seconds = time.perf_counter() - start
    faults = ", ".join(f"{name} {did[name]}" for name in sorted((*FAULTS, "overflow", "late join")))
    print(
        f"{given.schedules} schedules from seed {given.seed}, {sum(did.values())} steps in"
        f" {seconds:.0f} s ({given.schedules / seconds:.0f} a second); nothing was broken.\n{faults}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
