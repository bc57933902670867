from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from notify.live import limits
from notify.live.limits import EVERYBODY, Bucket, Buckets, Tally

forks = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Hesitant(dict):  # type: ignore[type-arg]
    """A dictionary that lets other threads run between a read and what its reader does next."""

    def get(self, key: Any, default: Any = None) -> Any:
        found = super().get(key, default)
        time.sleep(0)
        return found

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        time.sleep(0)
        return found


def in_threads(work: Callable[[], None]) -> None:
    """Run it in eight threads at once, which switch as often as they can."""
    threads = [threading.Thread(target=work) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)


# -- The number of connections -------------------------------------------------------------------


def test_there_are_never_more_than_allowed():
    tally = Tally()
    with tally.one_more("a", 2) as first, tally.one_more("a", 2) as second:
        with tally.one_more("a", 2) as third:
            assert (first, second, third) == (True, True, False)
            assert tally["a"] == 2
        assert tally["a"] == 2  # a refused connection frees no place
        with tally.one_more("b", 2) as other:
            assert other
    with tally.one_more("a", 1) as again:
        assert again


def test_an_error_ends_the_counting_too():
    tally = Tally()
    with pytest.raises(ZeroDivisionError), tally.one_more("a", 2):
        raise ZeroDivisionError
    assert tally["a"] == 0


def test_what_is_gone_takes_no_memory():
    """A site has many users, of whom few are connected."""
    tally = Tally()
    for user in range(100):
        with tally.one_more(user, 1):
            assert len(tally._counts) == 1
    assert tally._counts == {}


def test_everybody_is_no_user():
    """The constant differs from every primary key that a project may use."""
    tally = Tally()
    with tally.one_more(EVERYBODY, 10), tally.one_more("process", 1) as is_free:
        assert is_free


def test_threads_count_together():
    """Some servers run several event loops in threads of one process."""
    tally = Tally()
    tally._counts = Hesitant()
    gate = threading.Barrier(8)
    counts = []

    def come_and_go():
        gate.wait()
        for _ in range(200):
            with tally.one_more("a", 3) as is_free:
                counts.append(tally["a"] if is_free else 0)

    in_threads(come_and_go)
    assert len(counts) == 8 * 200
    assert 0 < max(counts) <= 3
    assert tally["a"] == 0


@forks
def test_a_child_has_none_of_its_parents_connections():
    with limits.connections().one_more(EVERYBODY, 1):
        limits.posts().take("a", 0.0, 200)
        child = os.fork()
        if not child:
            with limits.connections().one_more(EVERYBODY, 1) as is_free:
                os._exit(0 if is_free and limits.posts().take("a", 0.0, 200) else 1)
        assert os.waitpid(child, 0)[1] == 0


# -- The rate of commands ------------------------------------------------------------------------


def test_a_burst_passes_and_then_the_rate():
    bucket = Bucket(rate=2.0, burst=5, now=100.0)
    assert [bucket.take(100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [bucket.take(100.4), bucket.take(100.5), bucket.take(100.5)] == [False, True, False]
    assert [bucket.take(110.0) for _ in range(7)] == [True] * 5 + [False] * 2


def test_in_the_long_run_it_is_the_rate():
    """This holds in every rhythm: a thousand per second for a minute."""
    bucket = Bucket(rate=20.0, burst=200, now=0.0)
    passed = sum(bucket.take(number / 1000) for number in range(60_000))
    assert passed == pytest.approx(200 + 60 * 20, abs=2)


def test_who_stays_below_the_rate_is_never_refused():
    bucket = Bucket(rate=20.0, burst=1, now=0.0)
    assert all(bucket.take(second * 0.0501) for second in range(10_000))


def test_refusals_add_up_until_it_has_rested():
    """Only a pause that is long enough to fill the bucket resets the refusals."""
    bucket = Bucket(rate=1.0, burst=10, now=0.0)
    for _ in range(15):
        bucket.take(0.0)
    assert bucket.refused == 5
    bucket.take(9.9)
    assert bucket.refused == 5
    bucket.take(11.0)
    assert bucket.refused == 0


def test_several_units_pass_together_or_not_at_all():
    bucket = Bucket(rate=1.0, burst=10, now=0.0)
    assert [bucket.take(0.0, 6), bucket.take(0.0, 6), bucket.take(0.0, 4)] == [True, False, True]
    assert bucket.refused == 6


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1, 1), (1024, 1), (1025, 2), (64 * 1024, 64)])
def test_a_text_counts_by_its_length(size, units):
    assert limits.units_of("x" * size) == limits.units_of(b"x" * size) == units


# -- The rate of a user --------------------------------------------------------------------------


def test_each_user_has_a_bucket():
    buckets = Buckets()
    assert [buckets.take(1, 0.0, 150), buckets.take(1, 0.0, 100)] == [True, False]
    assert buckets.take(2, 0.0, 200)
    assert buckets.take(1, 5.0, 100)


def test_threads_take_from_the_same_bucket():
    """Each request has its own thread."""
    buckets = Buckets()
    buckets._buckets = Hesitant()
    gate = threading.Barrier(8)
    passed = []

    def post():
        gate.wait()
        for _ in range(50):
            passed.append(buckets.take("a", 0.0))

    in_threads(post)
    assert (len(passed), sum(passed)) == (8 * 50, limits.COMMAND_BURST)


def test_of_many_users_only_those_who_sent_lately_are_remembered(monkeypatch):
    """A user with a full bucket is as good as one without a bucket."""
    monkeypatch.setattr(Buckets, "MANY", 3)
    buckets = Buckets()
    assert buckets.take("a", 0.0, 200)
    for user in ("b", "c"):
        assert buckets.take(user, 0.0)
    assert buckets.take("d", 1.0)
    assert sorted(buckets._buckets) == ["a", "d"]
    assert not buckets.take("a", 1.0, 100)
