"""Messages of the channel layer: those of this site are obeyed, all others are refused."""

from __future__ import annotations

import pytest

from notify import doorbell, installation
from notify.doorbell import KICK, RING, TICK, message, pack
from notify.live import incoming
from tests.kit.fakes import document

CHANGES = document(5, 6)


class Hub:
    """Records what messages make a hub do."""

    def __init__(self):
        self.done = []

    def ring(self, rung):
        self.done.append(("ring", rung))

    def tick(self, ticked):
        self.done.append(("tick", ticked))

    def kick(self, recipient, session):
        self.done.append(("kick", recipient, session))

    def repair(self, recipient):
        self.done.append(("repair", recipient))


@pytest.fixture
def hub():
    return Hub()


def each_kind():
    return {
        RING: message(RING, rings=[pack("7", CHANGES), pack("8", CHANGES)]),
        TICK: message(TICK, ticks=[["7", "{}"]]),
        KICK: message(KICK, recipient="7", session=None),
    }


OBEYED = {
    RING: ("ring", [("7", CHANGES), ("8", CHANGES)]),
    TICK: ("tick", [["7", "{}"]]),
    KICK: ("kick", "7", None),
}


@pytest.mark.parametrize("kind", OBEYED)
def test_a_message_of_this_site_is_obeyed(hub, kind):
    incoming.handle(hub, each_kind()[kind])
    assert hub.done == [OBEYED[kind]]


@pytest.mark.parametrize("kind", OBEYED)
def test_a_message_that_another_key_has_signed_is_refused(hub, kind, settings):
    settings.SECRET_KEY = "of another site"
    foreign = each_kind()[kind]
    settings.SECRET_KEY = "of this site"
    with pytest.raises(ValueError, match="not signed with this site's SECRET_KEY"):
        incoming.handle(hub, foreign)
    assert hub.done == []


@pytest.mark.parametrize("kind", OBEYED)
def test_a_message_of_a_copy_of_this_site_only_makes_rooms_read(hub, kind, monkeypatch):
    """It may also come from this site, from a process that uses another name of the database server."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(installation, "database_id", lambda: "of the copy")
        copied = each_kind()[kind]
    with pytest.raises(ValueError, match="another address of the database"):
        incoming.handle(hub, copied)
    assert hub.done == [("repair", "7"), ("repair", "8")] * (kind == RING)


@pytest.mark.parametrize(
    "change",
    [
        lambda ring: ring.pop("macs"),
        lambda ring: ring.pop("body"),
        lambda ring: ring.update(macs=[]),
        lambda ring: ring.update(macs=7),
        lambda ring: ring.update(macs=["0" * 32]),
        lambda ring: ring.update(body=ring["body"].replace("message 6", "message X")),
        lambda ring: ring.update(body=7),
        lambda ring: ring.update(type=KICK),
        lambda ring: ring.update(type=TICK),
        lambda ring: ring.update(macs=[mac.upper() for mac in ring["macs"]]),
    ],
)
def test_a_forged_message_is_refused(hub, change):
    """A signature holds for one content and one type."""
    ring = each_kind()[RING]
    change(ring)
    with pytest.raises((ValueError, TypeError, LookupError)):
        incoming.handle(hub, ring)
    assert hub.done == []


@pytest.mark.parametrize(
    "garbage",
    [
        lambda: message(RING),
        lambda: message(RING, rings=None),
        lambda: message(RING, rings=[["7"]]),
        lambda: message(RING, rings=[pack("7", CHANGES), None]),
        lambda: message(TICK, ticks=[["7", 7]]),
        lambda: message(TICK, ticks=7),
        lambda: message(KICK),
    ],
)
def test_a_message_of_another_version_is_refused_whole(hub, garbage):
    with pytest.raises((ValueError, TypeError, LookupError)):
        incoming.handle(hub, garbage())
    assert hub.done == []


@pytest.mark.parametrize("garbage", [None, 7, "text", [], {}], ids=repr)
def test_what_is_no_message_is_refused(hub, garbage):
    with pytest.raises((TypeError, LookupError)):
        incoming.handle(hub, garbage)


def test_messages_of_other_consumers_are_none_of_ours(hub):
    incoming.handle(hub, {"type": "chat.message", "text": "hi"})
    assert hub.done == []


def test_a_message_from_before_a_rotation_is_obeyed(hub, settings):
    settings.SECRET_KEY = "old"
    earlier = each_kind()[KICK]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["old"]
    incoming.handle(hub, earlier)
    later = each_kind()[KICK]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old", []
    incoming.handle(hub, later)
    assert hub.done == [OBEYED[KICK]] * 2
    assert doorbell.contents(later)["recipient"] == "7"
