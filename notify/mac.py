"""
A message authentication code (MAC) in each epoch, by which the site recognizes the epochs it has made.

A cursor above its mailbox proves that the database was restored, and starts a new epoch (ADR 0029). Without
the code, a link on another site could do the same with a made-up cursor.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils.crypto import constant_time_compare, salted_hmac

from notify import protocol
from notify.protocol import EPOCH_LENGTH, EPOCH_MAC_DIGITS

SALT = "notify.epoch"


def new_epoch(user_id: Any, after: str = "") -> str:
    """Create an epoch for the mailbox of a user. ``after`` is as for :func:`protocol.new_epoch`."""
    return protocol.new_epoch(after, partial(_mac, settings.SECRET_KEY, user_id))


def is_own_epoch(epoch: str, user_id: Any) -> bool:
    """
    Returns whether this site has made the epoch, for this user.

    Epochs are recognized under SECRET_KEY and SECRET_KEY_FALLBACKS. Those of earlier versions have no MAC.
    """
    begin, end = epoch[:-EPOCH_MAC_DIGITS], epoch[-EPOCH_MAC_DIGITS:]
    return len(epoch) == EPOCH_LENGTH and any(
        constant_time_compare(end, _mac(key, user_id, begin)) for key in secret_keys()
    )


def secret_keys() -> list[str | bytes]:
    """Returns SECRET_KEY and its fallbacks, the newest first: all keys under which a MAC is accepted."""
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def _mac(key: str | bytes, user_id: Any, begin: str) -> str:
    field = get_user_model()._meta.pk
    assert field is not None
    owner = field.to_python(user_id)  # a UUID may be given as text
    digest = salted_hmac(SALT, f"{begin} {owner}", secret=key, algorithm="sha256").digest()
    return protocol.base32(int.from_bytes(digest), EPOCH_MAC_DIGITS)
