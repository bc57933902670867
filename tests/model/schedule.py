"""
Random histories: a seed chooses each next step among the possible ones.

The same seed gives the same history in every process. A failing history is shortened by leaving out
steps, as long as it still fails with the same sentence.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tests.model.check import Violation
from tests.model.rules import RULES, Rules
from tests.model.world import World, told_by

STEPS = 90  # steps tried in one schedule; about half of them are possible when their turn comes

WORK: dict[str, float] = {
    "go": 40,
    "ring": 10,
    "write": 14,
    "hear": 14,
    "obey": 6,
    "flush": 4,
    "notice": 2,
    "retry": 2,
    "send": 5,
    "send at once": 3,
    "connect": 5,
    "poll": 2,
    "mark": 3,
    "mark all": 1,
    "doubt": 0.5,
    "navigate": 0.7,
    "ping": 0.5,
    "rings join": 1,
    "give up": 0.4,
}
FAULTS: dict[str, float] = {
    "sweep": 2,
    "time": 1.5,
    "prune": 1,
    "sender dies": 1,
    "lose ring": 2,
    "late ring": 2,
    "cut": 1.5,
    "crash": 0.5,
    "db fails": 0.7,
    "backup": 0.4,
    "restore": 0.5,
    "new epoch": 1,
    "lose mailbox": 0.2,
    "clock back": 0.2,
}

SWARM = (0.1, 1, 1, 1, 6)  # factors of the weights

STAGES = ("", "everybody_is_here", "everybody_is_here", "a_tab_is_pages_behind")

Step = tuple[str, int]


@dataclass
class Outcome:
    """The outcome of one schedule."""

    stage: str
    steps: list[Step]
    told: list[str]
    violation: str | None
    did: Counter[str]


def choose(seed: int, *, calm: bool, focus: Mapping[str, float] | None = None) -> list[Step]:
    """The steps that this seed will try."""
    dice = random.Random(seed)
    weights = WORK if calm else WORK | FAULTS
    if focus is None:  # each schedule prefers some steps
        weights = {name: weight * dice.choice(SWARM) for name, weight in weights.items()}
    else:
        weights = {name: weight * focus.get(name, 1) for name, weight in weights.items()}
    if focus and "stale" in focus:
        weights["stale"] = focus["stale"]
    names = dice.choices(list(weights), cum_weights=list(accumulate(weights.values())), k=STEPS)
    return [(name, dice.getrandbits(48)) for name in names]


def play(
    steps: Iterable[Step],
    *,
    calm: bool = False,
    left_out: str = "",
    stage: str = "",
    tracer: Callable[..., None] | None = None,
) -> Outcome:
    """Set the stage, take these steps as far as they are possible, and come to rest."""
    world = World(Rules(left_out), tracer)
    taken: list[Step] = []
    told: list[str] = []
    violation = None
    with told_by(world.clock):
        try:
            if stage:
                getattr(world, stage)()
            for name, number in steps:
                taken.append((name, number))
                did = world.step(name, number)
                if did is None:
                    taken.pop()
                else:
                    told.append(did)
            world.come_to_rest(calm=calm)
        except Violation as error:
            violation = str(error)
    for task in world.tasks:
        task.steps.close()
    return Outcome(stage, taken, told, violation, world.did)


def run(seed: int, *, calm: bool = False, left_out: str = "", **more: Any) -> Outcome:
    """Run one schedule."""
    rule = RULES.get(left_out)
    steps = choose(seed, calm=calm, focus=rule.focus if rule else None)
    stage = rule.stage if rule else STAGES[seed % len(STAGES)]
    return play(steps, calm=calm, left_out=left_out, stage=stage, **more)


def shorten(outcome: Outcome, *, calm: bool = False, left_out: str = "") -> Outcome:
    """Returns a shorter history with the same violation. Steps are left out as long as it still fails."""
    best, size = outcome, max(1, len(outcome.steps) // 2)
    while size:
        start = 0
        while start < len(best.steps):
            fewer = best.steps[:start] + best.steps[start + size :]
            tried = play(fewer, calm=calm, left_out=left_out, stage=best.stage)
            if tried.violation == outcome.violation and len(tried.steps) < len(best.steps):
                best = tried
            else:
                start += size
        size //= 2
    return best


def describe(outcome: Outcome) -> str:
    """The history in words, with the violation at the end."""
    lines = [f"{number:3}  {line}" for number, line in enumerate(outcome.told, 1)]
    if outcome.stage:
        lines.insert(0, f"     {outcome.stage.replace('_', ' ')}")
    return "\n".join([*lines, f"     => {outcome.violation}"])
