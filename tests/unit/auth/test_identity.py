"""A page names its user by a text that lasts, and that fits no other user."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from notify.auth.identity import identity, is_another


@pytest.mark.parametrize("pk", [7, "ann", uuid.UUID(int=7)])
def test_a_user_has_one_identity(pk: Any) -> None:
    """It is an opaque text. That of another user differs."""
    assert re.fullmatch("[0-9a-f]{16}", identity(pk))
    assert not is_another(pk, identity(pk))
    assert is_another(pk, identity(8))


@pytest.mark.parametrize("claimed", [None, ""])
def test_a_page_that_names_no_user_is_that_of_any(claimed: str | None) -> None:
    assert not is_another(7, claimed)


@pytest.mark.parametrize("claimed", ["7", "é", "x" * 1000])
def test_a_made_up_identity_is_that_of_another(claimed: str) -> None:
    assert is_another(7, claimed)


def test_a_rotated_key_keeps_the_pages_that_are_open(settings: Any) -> None:
    """This holds for as long as the earlier key is one of the fallbacks."""
    before = identity(7)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", [settings.SECRET_KEY]
    assert identity(7) != before
    assert not is_another(7, before)
    assert not is_another(7, identity(7))
    assert is_another(8, before)
    settings.SECRET_KEY_FALLBACKS = []
    assert is_another(7, before)
