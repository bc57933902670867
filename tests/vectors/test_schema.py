"""The published schema agrees with the code on each document, and is strict."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from notify import protocol
from notify.transports import parser
from tests.kit import schema
from tests.kit.servers import PROJECT

VECTORS = PROJECT / "tests" / "vectors"
DOCUMENTS = json.loads((VECTORS / "documents.json").read_text())
STORIES = json.loads((VECTORS / "reduce.json").read_text())
CURSORS = json.loads((VECTORS / "cursor.json").read_text())

GOLDEN = [
    *(("server", name, document) for name, document in DOCUMENTS["server"].items()),
    *(("server", name, document) for name, document in DOCUMENTS["stream"].items()),
    *(("server", name, document) for name, document in DOCUMENTS["inbox"].items()),
    *(("client", name, document) for name, document in DOCUMENTS["commands"].items()),
]
OPTIONAL = {  # members that a document may omit, but the golden ones contain
    "server": {
        ("ping", "ref"),
        *(
            ("rows", "notifications", 0, *rest)
            for rest in (
                ("group",),
                ("image",),
                ("origin",),
                ("toast",),
                ("acted_at",),
                ("outcome",),
                ("actions", 1, "style"),
                ("actions", 1, "confirm"),
            )
        ),
    },
    "client": {("ids",), ("epoch",), ("ref",), ("since",), ("cursor",)},
}

NUMBERS = {"heartbeat", "done", "total"}  # members that accept every number

golden = pytest.mark.parametrize(
    ("side", "document"),
    [case[::2] for case in GOLDEN],
    ids=[f"{side}: {name}" for side, name, _ in GOLDEN],
)


def is_valid(side: str, document: Any) -> bool:
    judge = {"server": schema.SERVER, "client": schema.CLIENT}[side]
    valid: bool = judge.is_valid(document)
    return valid


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each member and item of a document, except for the project's own `data`."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for name, inner in items:
        if name != "data":
            yield (*path, name)
            yield from places(inner, (*path, name))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        document = document[name]
    return document


def test_it_is_a_schema():
    Draft202012Validator.check_schema(schema.SCHEMA)


@golden
def test_each_golden_document_fits(side: str, document: Any):
    assert is_valid(side, document)
    assert Draft202012Validator(schema.SCHEMA).is_valid(document)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story["about"])
def test_the_documents_of_each_story_fit(story: Any):
    for document in story["documents"]:
        assert schema.from_server(json.dumps(document)) == document


@pytest.mark.parametrize("side", ["server", "client"])
def test_each_kind_of_document_has_a_golden_one(side: str):
    """So the following tests cover all kinds of documents."""
    kinds = set(schema.SCHEMA["$defs"][side]["properties"]["type"]["enum"])
    assert {document["type"] for each, _, document in GOLDEN if each == side} == kinds


@golden
def test_a_wrong_type_anywhere_is_refused(side: str, document: Any):
    for path in places(document):
        for wrong in ({"wrong": 1}, "wrong", -1, 1.5, True):
            broken = copy.deepcopy(document)
            right = at(broken, path)
            is_free = isinstance(right, str) and isinstance(wrong, str)  # one text is like another
            if type(wrong) is type(right) or is_free or path[-1] in NUMBERS:
                continue
            at(broken, path[:-1])[path[-1]] = wrong
            assert not is_valid(side, broken), f"{path} = {wrong!r}"


@golden
def test_a_missing_member_is_refused(side: str, document: Any):
    for path in places(document):
        if isinstance(path[-1], int):
            continue
        broken = copy.deepcopy(document)
        del at(broken, path[:-1])[path[-1]]
        may_go = path in OPTIONAL["client"] if side == "client" else False
        if side == "server":
            may_go = (document["type"], *path) in OPTIONAL["server"]
        if side == "client" and document["type"].endswith("_all"):
            may_go = may_go and path != ("cursor",)
        if side == "client" and document["type"] == "act":
            may_go = may_go and path != ("ids",)
        assert is_valid(side, broken) == may_go, path


@golden
def test_a_member_that_is_not_known_is_allowed(side: str, document: Any):
    """It may be anywhere, because a later version may add members."""
    for path in [(), *places(document)]:
        richer = copy.deepcopy(document)
        if isinstance(place := at(richer, path), dict):
            place["of a later version"] = [1, {}]
            assert is_valid(side, richer), path


@pytest.mark.parametrize("side", ["server", "commands"])
def test_what_the_code_refuses_the_schema_refuses(side: str):
    for text in DOCUMENTS["wrong"][side]:
        try:
            document = json.loads(text)
        except ValueError:
            continue
        assert not is_valid("client" if side == "commands" else side, document), text


def test_cursors_are_those_of_the_code():
    """This includes their length, and the line break that Python's `$` allows at the end."""
    cursor = Draft202012Validator({**schema.SCHEMA["$defs"]["cursor"]})
    assert all(cursor.is_valid(vector["cursor"]) for vector in CURSORS["valid"])
    refused = [text for text in CURSORS["invalid"] if not cursor.is_valid(text)]
    passed = set(CURSORS["invalid"]) - set(refused)
    assert len(refused) > 15
    assert {text.rstrip("\n") for text in passed} <= {
        f"0hqk3m2v00a1b2c3d:{protocol.MAX_POSITION + 1}",
        "0hqk3m2v00a1b2c3d:4",
    }


def test_the_levels_and_the_bounds_are_those_of_the_code():
    definitions = schema.SCHEMA["$defs"]
    levels = definitions["notification"]["properties"]["level"]["enum"]
    assert levels == [level.value for level in protocol.Level]
    assert definitions["number"]["maximum"] == protocol.MAX_POSITION
    assert definitions["shown"]["maxItems"] == parser.MAX_COMMAND_IDS
    marks = [mark.value for mark in protocol.Mark]
    kinds = definitions["client"]["properties"]["type"]["enum"]
    all_marks = [f"{mark}_all" for mark in marks]
    undos = [undo.value for undo in protocol.Undo]
    assert kinds == [*marks, *undos, "cancel", "act", *all_marks, "changes", "ping", "pong"]
    states = definitions["progress"]["properties"]["state"]["enum"]
    assert states == [state.value for state in protocol.TaskState]
    close = definitions["close"]["properties"]["code"]
    assert all(close["minimum"] <= code <= close["maximum"] for code in protocol.CloseCode)


def test_a_document_that_does_not_fit_says_where():
    with pytest.raises(AssertionError, match=r"\$\.counts\.unseen: -1 is less than"):
        schema.from_server(
            json.dumps({**DOCUMENTS["server"]["changes"], "counts": {"unseen": -1, "unread": 0}})
        )
