"""The golden documents, which the JavaScript tests read too."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from notify import protocol
from notify.exceptions import ProtocolError
from notify.models import Notification
from notify.protocol import Changes, Counts, Cursor, Verdict, judge
from notify.transports import parser
from notify.transports.parser import ActCommand, CancelCommand, ChangesCommand, Heartbeat

VECTORS = Path(__file__).parent


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


CURSORS = vectors("cursor")
RULES = vectors("rule")
DOCUMENTS = vectors("documents")
STORIES = vectors("reduce")


def cursor(text: str | None) -> Cursor | None:
    return None if text is None else Cursor.parse(text)


def test_every_file_of_vectors_is_read_here():
    assert {path.stem for path in VECTORS.glob("*.json")} == {
        "cursor",
        "rule",
        "documents",
        "reduce",
    }


@pytest.mark.parametrize("vector", CURSORS["valid"], ids=lambda vector: vector["cursor"])
def test_a_cursor_is_an_epoch_and_a_position(vector):
    parsed = Cursor.parse(vector["cursor"])
    assert parsed == (vector["epoch"], vector["position"])
    assert str(parsed) == vector["cursor"]


@pytest.mark.parametrize("text", CURSORS["invalid"], ids=repr)
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(ProtocolError):
        Cursor.parse(text)


def test_cursors_ascend():
    """No cursor at all is below every other."""
    first, *rest = map(cursor, CURSORS["ascending"])
    assert first is None
    assert len(rest) > 5
    for lower, higher in pairwise(rest):
        assert lower < higher
        assert judge(None, None, lower, reset=True) is Verdict.APPLY


@pytest.mark.parametrize("vector", RULES, ids=lambda vector: vector["about"])
def test_the_rule(vector):
    mine, since, theirs = (cursor(vector[name]) for name in ("mine", "since", "cursor"))
    verdict = judge(mine, since, theirs, reset=vector["reset"])
    assert verdict.value == vector["verdict"]


# -- Documents of the server ---------------------------------------------------------------------


def changes_of(document: dict[str, Any]) -> Changes:
    """Golden changes, as this server would hold them."""
    return Changes(
        cursor(document["since"]),
        cursor(document["cursor"]),
        document["head"],
        Counts(**document["counts"]),
        ",".join(map(protocol.dumps, document["notifications"])),
        document.get("reset", False),
    )


def built(document: dict[str, Any]) -> str:
    """The same document, made by the functions of the server."""
    match document["type"]:
        case "changes":
            return changes_of(document).encode()
        case "welcome":
            return protocol.welcome(changes_of(document["changes"]), float(document["heartbeat"]))
        case "tick":
            return protocol.tick(document["ticks"])
        case "ping":
            return protocol.ping(cursor(document["cursor"]), document["ref"])
        case "pong":
            return protocol.pong(cursor(document["cursor"]), document["ref"])
        case "ack":
            return protocol.dumps(protocol.ack(document["ref"], cursor(document["cursor"])))
        case "error":
            return protocol.dumps(
                protocol.error(document["ref"], document["code"], document["message"])
            )
    raise AssertionError(document["type"])


@pytest.mark.parametrize("name", DOCUMENTS["server"])
def test_the_server_says_it_so(name):
    document = DOCUMENTS["server"][name]
    assert json.loads(built(document)) == document


def test_every_kind_of_document_has_a_vector():
    kinds = {document["type"] for document in DOCUMENTS["server"].values()}
    assert kinds == {"welcome", "changes", "tick", "ping", "pong", "ack", "error"}


def test_a_row_has_the_fields_that_the_vectors_have():
    """Neither side has a field that the other lacks."""
    row = json.loads(Notification(pk=812, message="Hello", position=44, arrived=44).encode())
    for document in DOCUMENTS["server"].values():
        inner = document.get("changes", document)
        for golden in inner.get("notifications", []):
            assert set(golden) == set(row)


# -- Documents of the client ---------------------------------------------------------------------


@pytest.mark.parametrize("name", DOCUMENTS["commands"])
def test_the_server_understands(name):
    document = DOCUMENTS["commands"][name]
    command = parser.parse_command(json.dumps(document))
    if isinstance(command, Heartbeat):
        assert command.is_ping == (document["type"] == "ping")
        return
    assert command.ref == document["ref"]
    if isinstance(command, ChangesCommand):
        assert command.since == cursor(document["since"])
        return
    assert [list(pair) for pair in command.pairs] == document["ids"]
    assert command.epoch == document["epoch"]
    if isinstance(command, CancelCommand):
        assert document["type"] == "cancel"
        return
    if isinstance(command, ActCommand):
        assert document["type"] == "act"
        assert command.action == document["action"]
        return
    assert f"{command.mark}{'_all' if command.upto else ''}" == document["type"]
    assert command.upto == cursor(document.get("cursor"))


@pytest.mark.parametrize("text", DOCUMENTS["wrong"]["commands"])
def test_the_server_refuses(text):
    with pytest.raises(ProtocolError):
        parser.parse_command(text)


# -- Stories -------------------------------------------------------------------------------------


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story["about"])
def test_the_rule_tells_each_story(story):
    """
    A reader who applies the rule ends at the cursor of the story.

    Only a welcome may lower a cursor: its reset is where a connection begins.
    """
    mine: Cursor | None = None
    verdicts = []
    for document in story["documents"]:
        is_welcome = document["type"] == "welcome"
        changes = document["changes"] if is_welcome else document
        since, theirs = cursor(changes["since"]), cursor(changes["cursor"])
        reset = changes.get("reset", False)
        verdict = judge(None if is_welcome and reset else mine, since, theirs, reset=reset)
        if is_welcome and reset:
            verdict = Verdict.APPLY
        verdicts.append(verdict.value)
        if verdict is Verdict.APPLY:
            mine = theirs
    assert verdicts == story["verdicts"]
    assert mine == cursor(story["state"]["cursor"])
