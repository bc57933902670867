from __future__ import annotations

import doctest
import importlib.util
import json
import sys
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify import protocol
from notify.exceptions import ProtocolError
from notify.protocol import (
    Changes,
    CloseCode,
    Counts,
    Cursor,
    Level,
    TaskState,
    Verdict,
    judge,
    merge,
)

EPOCH = "0hqk3m2v00a1b2c3d"
LATER = "0hqk3m9v000000000"
POSITIONS = st.integers(0, protocol.MAX_POSITION)
CURSORS = st.none() | st.builds(Cursor, st.sampled_from([EPOCH, LATER]), POSITIONS)


def at(position: int, epoch: str = EPOCH) -> Cursor:
    return Cursor(epoch, position)


def changes(since: int | None, cursor: int, rows: str | None = "", **more: Any) -> Changes:
    return Changes(
        None if since is None else at(since),
        at(cursor),
        more.pop("head", cursor),
        more.pop("counts", Counts(1, 2)),
        rows,
        **more,
    )


def test_the_examples_in_the_module_are_true():
    outcome = doctest.testmod(protocol)
    assert outcome.attempted
    assert not outcome.failed


# -- Cursors -------------------------------------------------------------------------------------


@given(st.builds(Cursor, st.sampled_from([EPOCH, LATER]), POSITIONS))
def test_a_cursor_is_read_as_it_was_written(cursor):
    assert Cursor.parse(str(cursor)) == cursor


@given(st.text(max_size=30))
def test_another_text_is_no_cursor(text):
    with pytest.raises(ProtocolError) as caught:
        Cursor.parse(text)
    assert caught.value.code == "bad_cursor"


@pytest.mark.parametrize("value", [None, 44, 4.4, True, [], {}, b"0hqk3m2v00a1b2c3d:4"])
def test_another_type_is_no_cursor(value):
    with pytest.raises(ProtocolError, match="is not a cursor"):
        Cursor.parse(value)


def test_a_long_text_is_quoted_in_part():
    """The error is sent back to the client, so it must not repeat a megabyte."""
    with pytest.raises(ProtocolError) as caught:
        Cursor.parse("x" * 10_000)
    assert len(str(caught.value)) < 250


def test_cursors_compare_as_pairs():
    assert at(9) < at(10) < at(100) < at(1, LATER)
    assert max(at(100), at(1, LATER)).epoch == LATER


# -- Epochs --------------------------------------------------------------------------------------


def test_an_epoch_is_a_name_of_seventeen_digits():
    epoch = protocol.new_epoch()
    assert len(epoch) == protocol.EPOCH_LENGTH == 17
    assert set(epoch) <= set(protocol.DIGITS)
    assert Cursor.parse(f"{epoch}:0") == Cursor(epoch, 0)


def test_a_later_epoch_sorts_above(monkeypatch):
    epochs = []
    for now in (0.001, 1.0, 1_700_000_000.0, 1_700_000_000.001, 4_000_000_000.0):
        monkeypatch.setattr(protocol.time, "time", lambda now=now: now)
        epochs.append(protocol.new_epoch())
    assert epochs == sorted(epochs)
    assert len({epoch[:9] for epoch in epochs}) == 5


def test_epochs_of_the_same_moment_differ(monkeypatch):
    monkeypatch.setattr(protocol.time, "time", lambda: 1_700_000_000.0)
    assert len({protocol.new_epoch() for _ in range(100)}) == 100


def test_a_new_epoch_follows_the_old_one_whatever_the_clock_says(monkeypatch):
    """A clock that steps back must not make old cursors valid again."""
    old = protocol.new_epoch()
    monkeypatch.setattr(protocol.time, "time", lambda: 1000.0)
    assert protocol.new_epoch(after=old) > old
    assert protocol.new_epoch() < old


def test_an_epoch_of_the_far_future_is_implausible(monkeypatch):
    """A hand-written epoch must not make a mailbox unreachable. A clock may be wrong by a day."""
    now = 1_700_000_000.0
    monkeypatch.setattr(protocol.time, "time", lambda: now)
    assert protocol.is_plausible(protocol.new_epoch())
    assert not protocol.is_plausible("v" * 17)
    monkeypatch.setattr(protocol.time, "time", lambda: now + 80_000)
    tomorrow = protocol.new_epoch()
    monkeypatch.setattr(protocol.time, "time", lambda: now + 90_000)
    later = protocol.new_epoch()
    monkeypatch.setattr(protocol.time, "time", lambda: now)
    assert protocol.is_plausible(tomorrow)
    assert not protocol.is_plausible(later)


def test_the_end_of_an_epoch_may_be_given(monkeypatch):
    """The MAC covers all other digits."""
    begins = []
    epoch = protocol.new_epoch(end=lambda begin: begins.append(begin) or "000abc")
    assert epoch == f"{begins[0]}000abc"
    assert len(epoch) == protocol.EPOCH_LENGTH


def test_the_age_of_an_epoch_is_told_by_its_digits(monkeypatch):
    monkeypatch.setattr(protocol.time, "time", lambda: 1_700_000_000.0)
    epoch = protocol.new_epoch()
    assert protocol.age_of(epoch) == 0
    monkeypatch.setattr(protocol.time, "time", lambda: 1_700_000_090.5)
    assert protocol.age_of(epoch) == 90.5
    monkeypatch.setattr(protocol.time, "time", lambda: 1_699_999_990.0)
    assert protocol.age_of(epoch) == -10


# -- The rule ------------------------------------------------------------------------------------


def test_a_repeated_document_is_applied_once():
    """A reader at 5 takes 5→6 and drops it when it comes again."""
    assert judge(at(5), at(5), at(6)) is Verdict.APPLY
    assert judge(at(6), at(5), at(6)) is Verdict.DROP


def test_a_gap_is_read():
    assert judge(at(4), at(5), at(6)) is Verdict.READ
    assert judge(None, at(5), at(6)) is Verdict.READ
    assert judge(at(4), None, at(6)) is Verdict.READ


def test_a_reset_is_applied_over_a_gap():
    assert judge(at(1), None, at(6), reset=True) is Verdict.APPLY
    assert judge(None, None, at(6), reset=True) is Verdict.APPLY
    assert judge(at(6), None, at(6), reset=True) is Verdict.DROP


@given(CURSORS, CURSORS, CURSORS, st.booleans())
def test_the_rule_never_takes_a_reader_back(mine, since, cursor, reset):
    """Applied or read documents are ahead of the reader, and applied ones leave no gap."""

    def rank(one: Cursor | None) -> tuple[str, int]:
        return ("", -1) if one is None else one

    verdict = judge(mine, since, cursor, reset=reset)
    assert (verdict is Verdict.DROP) == (rank(cursor) <= rank(mine))
    if verdict is Verdict.APPLY and not reset:
        assert since is not None
        assert mine is not None
        assert since <= mine


# -- Documents -----------------------------------------------------------------------------------


def test_changes_are_encoded_as_one_object():
    document = json.loads(changes(41, 44, '{"id":1},{"id":2}', head=90).encode())
    assert document == {
        "type": "changes",
        "since": f"{EPOCH}:41",
        "cursor": f"{EPOCH}:44",
        "head": 90,
        "counts": {"unseen": 1, "unread": 2},
        "notifications": [{"id": 1}, {"id": 2}],
    }


def test_a_reset_says_so():
    document = json.loads(changes(None, 44, reset=True).encode())
    assert (document["reset"], document["since"]) == (True, None)
    assert "reset" not in json.loads(changes(41, 44).encode())


def test_a_page_is_complete_at_the_head():
    assert changes(41, 44).complete
    assert not changes(41, 44, head=45).complete
    assert Changes(None, None, 0, Counts(0, 0), "", reset=True).complete


def test_changes_tell_nothing_if_their_interval_is_empty():
    """To a reader without a cursor, even an empty mailbox is news."""
    assert changes(5, 5).tells_nothing
    assert not changes(5, 6).tells_nothing
    assert not changes(None, 5, reset=True).tells_nothing
    assert not Changes(None, None, 0, Counts(0, 0), "", reset=True).tells_nothing


def test_merged_documents_are_one_step():
    """The result goes from the start of the first to the end of the last, with the counts of the last."""
    merged = merge(
        [
            changes(1, 2, '{"id":1}'),
            changes(2, 3, ""),
            changes(3, 5, '{"id":2}', counts=Counts(7, 8), head=9),
        ]
    )
    assert merged == changes(1, 5, '{"id":1},{"id":2}', counts=Counts(7, 8), head=9)


def test_one_document_is_merged_with_nothing():
    one = changes(1, 2)
    assert merge([one]) is one


def test_a_reset_swallows_what_came_before_it():
    merged = merge(
        [
            changes(1, 2, '{"id":1}'),
            changes(None, 4, '{"id":2}', reset=True),
            changes(4, 5, '{"id":3}'),
        ]
    )
    assert merged == changes(None, 5, '{"id":2},{"id":3}', reset=True)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda part: (
            st.lists(part)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), part)
        ),
        max_leaves=10,
    )
)
def test_json_of_the_wire_is_compact_and_exact(value):
    """orjson, which accepts no integer of more than 64 bits, produces the same text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert protocol.orjson is not None
    assert protocol.dumps(value) == text
    with mock.patch.object(protocol, "orjson", None):
        assert protocol.dumps(value) == text


def test_without_orjson_the_module_works(monkeypatch):
    """It is optional: pip install "django-notify-live[speed]" installs it."""
    monkeypatch.setitem(sys.modules, "orjson", None)
    spec = importlib.util.spec_from_file_location("protocol_without_orjson", protocol.__file__)
    without = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, without)
    spec.loader.exec_module(without)
    assert without.dumps({"message": "Grüße 🎉"}) == '{"message":"Grüße 🎉"}'


def test_not_a_number_is_never_written(monkeypatch):
    assert protocol.dumps(float("nan")) == "null"
    monkeypatch.setattr(protocol, "orjson", None)
    with pytest.raises(ValueError, match="JSON"):
        protocol.dumps(float("nan"))


def test_a_heartbeat_of_a_whole_number_stays_whole():
    assert '"heartbeat":25,' in protocol.welcome(changes(1, 2), 25.0)
    assert '"heartbeat":2.5,' in protocol.welcome(changes(1, 2), 2.5)


@pytest.mark.parametrize("code", CloseCode)
def test_close_codes_tell_whether_to_come_back(code):
    """4000–4499 yes, 4500–4999 no."""
    comes_back = code in (CloseCode.GOING_AWAY, CloseCode.TOO_SLOW, CloseCode.TOO_MANY)
    assert (4000 <= code <= 4499) == comes_back
    assert (4500 <= code <= 4999) != comes_back


def test_the_levels_are_those_of_messages():
    from django.contrib.messages.constants import DEFAULT_TAGS

    assert [level.value for level in Level] == list(DEFAULT_TAGS.values())


@pytest.mark.parametrize("state", TaskState)
def test_a_state_is_live_final_or_lost(state):
    assert [state.is_live, state.is_final, state is TaskState.LOST].count(True) == 1


def test_answers_are_documents():
    assert protocol.ack(7, at(45)) == {"type": "ack", "ref": 7, "cursor": f"{EPOCH}:45"}
    assert protocol.ack(None, None) == {"type": "ack", "ref": None, "cursor": None}
    assert protocol.error(7, "bad_command", "No.") == {
        "type": "error",
        "ref": 7,
        "code": "bad_command",
        "message": "No.",
    }


@pytest.mark.parametrize(("make", "kind"), [(protocol.ping, "ping"), (protocol.pong, "pong")])
def test_a_heartbeat_has_the_cursor_of_its_sender_and_a_ref(make, kind):
    """A peer that has missed a document finds out by the cursor."""
    assert json.loads(make(at(45), 7)) == {"type": kind, "cursor": f"{EPOCH}:45", "ref": 7}
    assert json.loads(make(None, 7)) == {"type": kind, "cursor": None, "ref": 7}


def test_a_tick_has_a_document_for_each_task():
    assert json.loads(protocol.tick([{"id": 1}, {"id": 2}])) == {
        "type": "tick",
        "ticks": [{"id": 1}, {"id": 2}],
    }


def test_a_close_document_carries_the_number():
    assert protocol.close(CloseCode.GOING_AWAY) == {"type": "close", "code": 4000}
