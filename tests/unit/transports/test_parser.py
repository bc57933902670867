"""Commands of clients are parsed and checked by a pure function."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.exceptions import ProtocolError
from notify.protocol import Cursor, Mark, Undo
from notify.transports import parser
from notify.transports.parser import (
    ActCommand,
    CancelCommand,
    ChangesCommand,
    Heartbeat,
    MarkCommand,
    parse_command,
)

EPOCH = "0hqk3m2v00a1b2c3d"


def at(position: int, epoch: str = EPOCH) -> Cursor:
    return Cursor(epoch, position)


@pytest.mark.parametrize("mark", Mark)
def test_a_mark_names_pairs(mark):
    command = parse_command(json.dumps({"type": mark, "ids": [[812, 44], [810, 30]], "ref": 7}))
    assert command == MarkCommand(mark, ((812, 44), (810, 30)), None, 7)


@pytest.mark.parametrize("undo", Undo)
def test_an_undo_names_pairs_and_never_all(undo):
    command = parse_command(
        json.dumps({"type": undo, "ids": [[812, 44]], "epoch": EPOCH, "ref": 7})
    )
    assert command == MarkCommand(undo, ((812, 44),), None, 7, EPOCH)
    with pytest.raises(ProtocolError, match="is not a command"):
        parse_command(json.dumps({"type": f"{undo}_all", "cursor": f"{EPOCH}:44"}))


@pytest.mark.parametrize("mark", Mark)
def test_a_mark_of_all_carries_a_cursor(mark):
    """It also carries pairs for rows that are shown above the cursor."""
    document = {"type": f"{mark}_all", "cursor": f"{EPOCH}:44", "ids": [[813, 46]], "ref": 8}
    assert parse_command(json.dumps(document)) == MarkCommand(mark, ((813, 46),), at(44), 8)


def test_a_cancel_names_pairs():
    document = {"type": "cancel", "ids": [[812, 44]], "epoch": EPOCH, "ref": 9}
    assert parse_command(json.dumps(document)) == CancelCommand(((812, 44),), 9, EPOCH)


@pytest.mark.parametrize("document", [{"ids": [[1]]}, {"ids": 1}, {"ids": [], "epoch": "x"}])
def test_a_cancel_in_another_shape_is_refused(document):
    with pytest.raises(ProtocolError):
        parse_command(json.dumps({"type": "cancel", **document}))


def test_an_act_names_one_notification_and_one_of_its_actions():
    document = {"type": "act", "ids": [[812, 44]], "action": 1, "epoch": EPOCH, "ref": 10}
    assert parse_command(json.dumps(document)) == ActCommand(((812, 44),), 1, 10, EPOCH)


@pytest.mark.parametrize("ids", [[], [[812, 44], [813, 46]], None])
def test_an_act_of_several_notifications_is_refused(ids):
    document = {"type": "act", "action": 0, "ids": ids, "ref": 10}
    with pytest.raises(ProtocolError, match="ids is a list of") as caught:
        parse_command(json.dumps(document))
    assert caught.value.ref == 10


@pytest.mark.parametrize("action", [None, -1, True, "0", 1.0, 2**53])
def test_an_act_without_the_index_of_an_action_is_refused(action):
    document = {"type": "act", "action": action, "ids": [[812, 44]]}
    with pytest.raises(ProtocolError, match="action is the index of an action"):
        parse_command(json.dumps(document))


@pytest.mark.parametrize("epoch", ["x", 7, [], f"{EPOCH}:0"])
def test_a_wrong_epoch_is_named(epoch):
    with pytest.raises(ProtocolError, match="epoch must be the epoch of a cursor") as caught:
        parse_command(json.dumps({"type": "read", "ids": [], "epoch": epoch}))
    assert caught.value.code == "bad_cursor"


@pytest.mark.parametrize("mark", Mark)
def test_a_mark_may_name_the_epoch_of_its_pairs(mark):
    document = {"type": mark, "ids": [[812, 44]], "epoch": EPOCH}
    assert parse_command(json.dumps(document)) == MarkCommand(mark, ((812, 44),), None, None, EPOCH)


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
    "a long type": '{"type":"' + "x" * 1000 + '"}',
    "an unknown type": '{"type":"unseen"}',
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
    "a ref that JavaScript cannot count": '{"type":"read","ids":[],"ref":9007199254740992}',
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
    """It can just be parsed, but may be too deep to be shown in an error."""
    kind = {"since": "changes", "cursor": "read_all"}.get(member, "read")
    for depth in (50, *range(900, 1010), 5000, 20_000):
        text = f'{{"type":"{kind}","{member}":{"[" * depth}{"]" * depth}}}'
        with pytest.raises(ProtocolError) as caught:
            parse_command(text)
        assert len(str(caught.value)) < 250
        assert caught.value.ref is None


def test_a_command_has_a_size():
    text = '{"type":"read"}'
    assert parse_command(text.ljust(parser.MAX_COMMAND_BYTES))
    for longer in (text.ljust(parser.MAX_COMMAND_BYTES + 1), text.encode().ljust(70_000)):
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


@pytest.mark.parametrize("character", ["a", "é", "€", "😀", "\ud800"])
def test_the_length_of_a_command_is_in_bytes(character):
    """Over the WebSocket a command is a text, by POST it is bytes. The limit is the same."""
    size = len(character.encode(errors="surrogatepass"))
    fits = character * (parser.MAX_COMMAND_BYTES // size)
    for text in (fits, fits.encode(errors="surrogatepass")):
        assert not parser.is_too_long(text)
    longer = f"{fits}{character}"
    for text in (longer, longer.encode(errors="surrogatepass")):
        assert parser.is_too_long(text)


@given(st.text() | st.binary())
def test_whatever_a_client_says_is_a_command_or_an_error(text):
    """No text and no bytes raise any other exception."""
    try:
        outcome: Any = parse_command(text)
    except ProtocolError as error:
        outcome = error
    assert isinstance(outcome, MarkCommand | ChangesCommand | Heartbeat | ProtocolError)


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ('{"type":"unseen","ref":7}', 7),
        ('{"type":"unseen"}', None),
        ('{"type":"read","ref":"7"}', None),
        ("[7]", None),
        ("null", None),
        ("{", None),
        (b"\xff", None),
        ("[" * 30_000, None),
    ],
)
def test_an_error_repeats_the_ref_if_there_is_one(text, ref):
    with pytest.raises(ProtocolError) as caught:
        parse_command(text)
    assert caught.value.ref == ref


def test_a_text_is_parsed_once(monkeypatch):
    """An error needs no second look at the text for its ref."""
    loads, parsed = json.loads, []
    monkeypatch.setattr(json, "loads", lambda text: parsed.append(text) or loads(text))
    with pytest.raises(ProtocolError):
        parse_command('{"type":"read","ids":7,"ref":7}')
    assert len(parsed) == 1


def test_too_many_ids_are_not_looked_at():
    """Not even one of ten thousand, of which each would be refused."""
    with pytest.raises(ProtocolError, match="at most 500") as caught:
        parse_command(json.dumps({"type": "read", "ids": [7] * 10_000, "ref": 5}))
    assert (caught.value.code, caught.value.ref) == ("too_large", 5)
