from __future__ import annotations

import doctest
import json
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify import protocol
from notify.exceptions import ProtocolError
from notify.protocol import (
    CancelCommand,
    Changes,
    ChangesCommand,
    CloseCode,
    Counts,
    Cursor,
    Heartbeat,
    Level,
    Mark,
    MarkCommand,
    State,
    Verdict,
    judge,
    merge,
    parse_command,
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
    """An error goes back to the client: it must not echo a megabyte."""
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
    """A clock that steps back must not bring old cursors to life."""
    old = protocol.new_epoch()
    monkeypatch.setattr(protocol.time, "time", lambda: 1000.0)
    assert protocol.new_epoch(after=old) > old
    assert protocol.new_epoch() < old


def test_an_epoch_of_the_far_future_is_implausible(monkeypatch):
    """Nobody's typed epoch makes a mailbox unreachable; a clock may be wrong by a day."""
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
    """What is applied or read lies above the reader, and what is applied leaves no gap."""

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


def test_merged_documents_are_one_step():
    """From the first one's start to the last one's end, with the last one's counts."""
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
    """The same text by orjson, which takes no integer of more than 64 bits, and without it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert protocol.orjson is not None
    assert protocol.dumps(value) == text
    with mock.patch.object(protocol, "orjson", None):
        assert protocol.dumps(value) == text


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


# -- Commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", Mark)
def test_a_mark_names_pairs(mark):
    command = parse_command(json.dumps({"type": mark, "ids": [[812, 44], [810, 30]], "ref": 7}))
    assert command == MarkCommand(mark, ((812, 44), (810, 30)), None, 7)


@pytest.mark.parametrize("mark", Mark)
def test_a_mark_of_all_carries_a_cursor(mark):
    """And pairs for what was shown above it."""
    document = {"type": f"{mark}_all", "cursor": f"{EPOCH}:44", "ids": [[813, 46]], "ref": 8}
    assert parse_command(json.dumps(document)) == MarkCommand(mark, ((813, 46),), at(44), 8)


def test_a_cancel_names_pairs():
    document = {"type": "cancel", "ids": [[812, 44]], "epoch": EPOCH, "ref": 9}
    assert parse_command(json.dumps(document)) == CancelCommand(((812, 44),), 9, EPOCH)


@pytest.mark.parametrize("document", [{"ids": [[1]]}, {"ids": 1}, {"ids": [], "epoch": "x"}])
def test_a_cancel_in_another_shape_is_refused(document):
    with pytest.raises(ProtocolError):
        parse_command(json.dumps({"type": "cancel", **document}))


@pytest.mark.parametrize("state", State)
def test_a_state_is_live_final_or_lost(state):
    assert [state.is_live, state.is_final, state is State.LOST].count(True) == 1


def test_a_command_may_be_bytes():
    assert parse_command(b'{"type":"read","ids":[]}') == MarkCommand(Mark.READ, (), None, None)


def test_ids_and_ref_may_be_left_out():
    assert parse_command('{"type":"read"}') == MarkCommand(Mark.READ, (), None, None)


def test_changes_may_be_asked_for():
    asked = parse_command(f'{{"type":"changes","since":"{EPOCH}:41","ref":9}}')
    assert asked == ChangesCommand(at(41), 9)
    assert parse_command('{"type":"changes","since":null}') == ChangesCommand(None, None)
    assert parse_command('{"type":"changes"}') == ChangesCommand(None, None)


def test_heartbeats_are_told_apart():
    assert parse_command('{"type":"ping","cursor":null}') == Heartbeat(is_ping=True)
    assert parse_command('{"type":"pong"}') == Heartbeat(is_ping=False)
    assert parse_command('{"type":"pong","ref":7}') == Heartbeat(is_ping=False, ref=7)


WRONG = {
    "nothing": "",
    "half an object": "{",
    "an array": "[]",
    "null": "null",
    "a string": '"read"',
    "two objects": "{}{}",
    "no type": "{}",
    "a type that is a number": '{"type":7}',
    "a type that is a list": '{"type":["read"]}',
    "an unknown type": '{"type":"unread"}',
    "an unknown type of all": '{"type":"unread_all"}',
    "some": '{"type":"read_some"}',
    "a loose end": '{"type":"read_"}',
    "all of all": f'{{"type":"read_all_all","cursor":"{EPOCH}:1"}}',
    "all without a cursor": '{"type":"read_all"}',
    "all with null": '{"type":"read_all","cursor":null}',
    "ids that are null": '{"type":"read","ids":null}',
    "ids that are a string": '{"type":"read","ids":"812"}',
    "ids that are an object": '{"type":"read","ids":{"812":44}}',
    "ids that are a number": '{"type":"read","ids":812}',
    "an id alone": '{"type":"read","ids":[812]}',
    "a triple": '{"type":"read","ids":[[812,44,1]]}',
    "a text": '{"type":"read","ids":[["812",44]]}',
    "a fraction": '{"type":"read","ids":[[812.5,44]]}',
    "a negative number": '{"type":"read","ids":[[812,-1]]}',
    "a boolean": '{"type":"read","ids":[[true,44]]}',
    "a number that JavaScript cannot count": '{"type":"read","ids":[[9007199254740992,44]]}',
    "not a number": '{"type":"read","ids":[[NaN,44]]}',
    "a ref that is text": '{"type":"read","ids":[],"ref":"1"}',
    "a ref that is a boolean": '{"type":"read","ids":[],"ref":true}',
    "a negative ref": '{"type":"read","ids":[],"ref":-1}',
    "bytes that are no text": b'{"type":"read\xff"}',
    "a deep array": "[" * 30_000,
    "a long number": '{"type":"read","ref":' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_command_is_refused_in_a_sentence(text):
    with pytest.raises(ProtocolError) as caught:
        parse_command(text)
    assert caught.value.code in ("bad_command", "bad_cursor")
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("member", ["type", "since", "cursor", "ids", "ref"])
def test_what_is_nested_as_deep_as_json_allows_is_refused(member):
    """It can be read just so, and may be too deep to be shown in an error."""
    kind = {"since": "changes", "cursor": "read_all"}.get(member, "read")
    for depth in (50, *range(900, 1010), 5000, 20_000):
        text = f'{{"type":"{kind}","{member}":{"[" * depth}{"]" * depth}}}'
        with pytest.raises(ProtocolError) as caught:
            parse_command(text)
        assert len(str(caught.value)) < 250
        assert protocol.reference_of(text) is None


def test_a_command_has_a_size():
    text = '{"type":"read"}'
    assert parse_command(text.ljust(protocol.MAX_COMMAND_BYTES))
    for longer in (text.ljust(protocol.MAX_COMMAND_BYTES + 1), text.encode().ljust(70_000)):
        with pytest.raises(ProtocolError) as caught:
            parse_command(longer)
        assert caught.value.code == "too_large"


def test_a_command_names_five_hundred_at_most():
    document: dict[str, Any] = {"type": "read", "ids": [[1, 1]] * 500}
    assert len(parse_command(json.dumps(document)).pairs) == 500  # type: ignore[union-attr]
    document["ids"].append([1, 1])
    with pytest.raises(ProtocolError, match="at most 500") as caught:
        parse_command(json.dumps(document))
    assert caught.value.code == "too_large"


@given(st.text() | st.binary())
def test_whatever_a_client_says_is_a_command_or_an_error(text):
    """No text, and no bytes, raise anything else."""
    try:
        outcome: Any = parse_command(text)
    except ProtocolError as error:
        outcome = error
    assert isinstance(outcome, MarkCommand | ChangesCommand | Heartbeat | ProtocolError)


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ('{"type":"unread","ref":7}', 7),
        ('{"type":"unread"}', None),
        ('{"type":"read","ref":"7"}', None),
        ("[7]", None),
        ("null", None),
        ("{", None),
        (b"\xff", None),
        ("[" * 30_000, None),
    ],
)
def test_an_error_repeats_the_ref_if_there_is_one(text, ref):
    assert protocol.reference_of(text) == ref


def test_answers_are_documents():
    assert protocol.ack(7, at(45)) == {"type": "ack", "ref": 7, "cursor": f"{EPOCH}:45"}
    assert protocol.ack(None, None) == {"type": "ack", "ref": None, "cursor": None}
    assert protocol.error(7, "bad_command", "No.") == {
        "type": "error",
        "ref": 7,
        "code": "bad_command",
        "message": "No.",
    }


# -- Refusals over HTTP --------------------------------------------------------------------------


def test_every_close_code_is_refused_by_a_status_of_its_meaning():
    """503 and a pause: come back. Another status: do not."""
    assert {*protocol.REFUSALS} == {*CloseCode}
    for code, refusal in protocol.REFUSALS.items():
        assert (refusal.status == 503) == (refusal.pause > 0) == (code < 4500)
        document = refusal.document()
        assert (document["type"], document["ref"], document["code"]) == (
            "error",
            None,
            refusal.code,
        )


def test_a_close_document_carries_the_number():
    assert protocol.close(CloseCode.GOING_AWAY) == {"type": "close", "code": 4000}
