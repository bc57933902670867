"""
Messages of the channel layer: which of them the hub acts on, and how far it trusts them.

Anyone who reaches the same Redis can send to the hub's groups: another site, a copy of this site, or an
attacker. The hub acts only on messages that are signed with this site's SECRET_KEY. A copy of the site
may have the same key, but not the same database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from notify import doorbell, installation
from notify.protocol import Changes


class MessageTarget(Protocol):
    """The part of a hub that messages reach."""

    def ring(self, rung: Sequence[tuple[str, Changes]]) -> None:
        """Offer changes to the rooms of their recipients."""

    def tick(self, ticked: Sequence[tuple[str, str]]) -> None:
        """Write ticks to the tabs of their recipients."""

    def kick(self, recipient: str, session: str | None) -> None:
        """Close the connections of a user, or of one of the user's sessions."""

    def repair(self, recipient: str) -> None:
        """Read the rows above the cursor of this user's room."""


def handle(hub: MessageTarget, message: Mapping[str, Any]) -> None:
    """
    Handle a message of the channel layer. Ignores types of messages that are not the doorbell's.

    Raises:
        ValueError: the message is malformed, or does not come from this installation.
    """
    type_ = message["type"]
    if type_ not in (doorbell.RING, doorbell.TICK, doorbell.KICK):
        return  # Consumers of the site may use the same groups.
    content = doorbell.contents(message)
    if content["database"] != installation.database_id():
        _doubt(hub, content)
    elif type_ == doorbell.RING:
        hub.ring([doorbell.unpack(ring) for ring in content["rings"]])
    elif type_ == doorbell.TICK:
        if not all(isinstance(text, str) for _, text in content["ticks"]):
            raise ValueError("The text of a tick must be a string.")
        hub.tick(content["ticks"])
    else:
        hub.kick(content["recipient"], content["session"])


def _doubt(hub: MessageTarget, content: Mapping[str, Any]) -> None:
    """
    Handle a message whose sender uses another address for the database.

    The sender may be a copy of this site, whose notifications must not be shown here. Or it may be a process
    of this site that reaches the same database under another name, and then its ring must not wait for
    the sweep. Reading the rows is right in both cases.
    """
    for recipient, *_ in content.get("rings", ()):
        hub.repair(recipient)
    raise ValueError(
        "The sender has this site's SECRET_KEY, but another address of the database. If it is a copy of this"
        " site, give it another SECRET_KEY or another Redis. If it is a process of this site, give all"
        " processes the same HOST, PORT and NAME in DATABASES. Until then, its rings make this process read"
        " the rows, and its ticks and kicks are ignored."
    )
