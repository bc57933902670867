"""The code in an epoch: under which keys, and for whom, an epoch is the site's own."""

from __future__ import annotations

import pytest

from notify import mac, protocol
from notify.protocol import DIGITS, Cursor

OWN = 7


@pytest.fixture
def epoch(settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "first", []
    return mac.new_epoch(OWN)


def test_an_epoch_with_a_code_is_an_epoch(epoch):
    assert Cursor.parse(f"{epoch}:4") == Cursor(epoch, 4)
    assert protocol.is_plausible(epoch)
    ahead = f"3{epoch[1:]}"  # made by a clock that was decades ahead
    assert mac.new_epoch(OWN, after=ahead) > ahead


def test_an_epoch_is_known_to_the_site_that_made_it(epoch):
    assert mac.is_own_epoch(epoch, OWN)
    assert mac.is_own_epoch(epoch, str(OWN))


def test_an_epoch_is_of_one_user(epoch):
    """A cursor of one user proves nothing to the mailbox of another."""
    assert not mac.is_own_epoch(epoch, OWN + 1)


@pytest.mark.parametrize("place", range(protocol.EPOCH_LENGTH))
def test_an_epoch_of_which_a_digit_was_changed_is_made_up(epoch, place):
    other = DIGITS[(DIGITS.index(epoch[place]) + 1) % len(DIGITS)]
    assert not mac.is_own_epoch(epoch[:place] + other + epoch[place + 1 :], OWN)


def test_an_epoch_of_an_earlier_version_has_no_code(epoch):
    """Its end was random. One in 2**30 of them would pass."""
    assert not any(mac.is_own_epoch(protocol.new_epoch(), OWN) for _ in range(100))
    assert not mac.is_own_epoch("", OWN)


def test_a_fallback_key_knows_the_epochs_that_it_made(epoch, settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]
    assert mac.is_own_epoch(epoch, OWN)
    newer = mac.new_epoch(OWN)
    settings.SECRET_KEY_FALLBACKS = []
    assert not mac.is_own_epoch(epoch, OWN)
    assert mac.is_own_epoch(newer, OWN)
