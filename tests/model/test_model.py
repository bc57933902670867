"""
The rules against random histories, and each rule left out, which must cause a violation.

For longer runs: ``python -m tests.model --schedules 100000``, and ``--hunt``. `make soak` runs
both.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.kit import servers
from tests.model.__main__ import main
from tests.model.counterexamples import SEEDS
from tests.model.rules import RULES, Rules
from tests.model.schedule import choose, describe, play, run, shorten
from tests.model.trace import Trace

HERE = Path(__file__).parent
CHUNKS = range(10)
SCHEDULES = 200  # of a chunk
CALM = 80
REPLAYED = 300


def keeps_its_promises(seeds: range, *, calm: bool) -> bool:
    for seed in seeds:
        outcome = run(seed, calm=calm)
        if outcome.violation:
            pytest.fail(f"Seed {seed}:\n{describe(shorten(outcome, calm=calm))}", pytrace=False)
    return True


@pytest.mark.parametrize("chunk", CHUNKS)
def test_nothing_is_lost_invented_or_doubled_whatever_fails(chunk):
    start = 1000 * chunk
    assert keeps_its_promises(range(start, start + SCHEDULES), calm=False)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_where_nothing_fails_rings_alone_suffice(chunk):
    """No sweep runs. Each connected client holds the rows once all rings have arrived."""
    start = 1000 * chunk
    assert keeps_its_promises(range(start, start + CALM), calm=True)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_left_out_is_missed(name):
    """Its pinned history causes a violation, and none while the rule is kept."""
    seed, calm = SEEDS[name], RULES[name].is_calm
    outcome = run(seed, calm=calm, left_out=name)
    assert outcome.violation, "Find another: python -m tests.model --hunt"
    kept = play(choose(seed, calm=calm, focus=RULES[name].focus), calm=calm, stage=outcome.stage)
    assert kept.violation is None


def test_a_seed_is_a_history():
    """A failure can be repeated, with the same steps."""
    first, again = run(4711), run(4711)
    assert first.told
    assert (first.told, first.steps, first.did) == (again.told, again.steps, again.did)


def test_a_history_that_fails_is_made_short():
    name = "a-mark-takes-a-position"
    long = run(SEEDS[name], calm=True, left_out=name)
    short = shorten(long, calm=True, left_out=name)
    assert short.violation == long.violation
    assert len(short.steps) < len(long.steps)


def test_nothing_is_pinned_for_a_rule_that_is_gone():
    assert set(SEEDS) == set(RULES)


def test_a_rule_that_does_not_exist_cannot_be_left_out():
    with pytest.raises(ValueError, match="is not a rule"):
        Rules("gravity")


def test_the_command_says_what_it_did(capsys):
    assert main(["--schedules", "5", "--seed", "7"]) == 0
    assert "5 schedules from seed 7" in capsys.readouterr().out


def test_the_hunt_prints_what_is_pinned(capsys, monkeypatch):
    name = "the-sweep"
    monkeypatch.setattr("tests.model.__main__.RULES", {name: RULES[name]})
    assert main(["--hunt"]) == 0
    assert capsys.readouterr().out == f'    "{name}": {SEEDS[name]},\n'


def test_the_command_shows_the_history_that_failed(capsys):
    assert main(["--schedules", "200", "--without", "the-outbox-is-read-under-the-lock"]) == 1
    assert "Again: python -m tests.model --seed" in capsys.readouterr().out


def test_the_clients_store_does_what_the_models_reader_does():
    """Otherwise the model would verify a client that does not exist."""
    node = servers.need(lambda: servers.find_program("node", package="nodejs"))
    traces = []
    for seed in range(REPLAYED):
        trace = Trace()
        run(seed, calm=seed % 3 == 0, tracer=trace)
        traces.append(trace.encode())
    replay = [node, str(HERE / "replay.mjs")]
    done = subprocess.run(replay, input="".join(traces), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["lines"] > 10 * REPLAYED
