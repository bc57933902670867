"""The JSON Schema of the wire, applied to the documents that a server really sends."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from tests.kit.servers import PROJECT

SCHEMA: dict[str, Any] = json.loads(
    (PROJECT / "docs" / "reference" / "protocol.schema.json").read_text()
)


def validator(side: str) -> Draft202012Validator:
    """A validator of the documents that the "server" or the "client" sends."""
    rest = {name: value for name, value in SCHEMA.items() if name != "anyOf"}
    return Draft202012Validator({**rest, "$ref": f"#/$defs/{side}"})


SERVER = validator("server")
CLIENT = validator("client")


def from_server(text: str | bytes) -> dict[str, Any]:
    """Decode a document of the server, and check it against the schema."""
    document: dict[str, Any] = json.loads(text)
    problem = best_match(SERVER.iter_errors(document))
    assert problem is None, f"{problem.json_path}: {problem.message}"
    return document
