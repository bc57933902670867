"""
The identity of this installation, so that sites which share a Redis do not act on each other's messages.

Group names and signatures are derived from SECRET_KEY. A copy of a site, such as its staging site, may
have the same SECRET_KEY, so each message also names the database of its sender.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

from django.core.signals import setting_changed
from django.db import connections
from django.db.utils import load_backend
from django.utils.encoding import force_bytes

from notify.db import database
from notify.mac import secret_keys

LOCAL_HOSTS = {"", "localhost", "127.0.0.1", "::1"}
ID_DIGITS = 16
MAC_BYTES = 16


def group_id() -> str:
    """
    Returns the part of a group's name that keeps installations apart: 16 hexadecimal digits.

    It is derived from the oldest of SECRET_KEY and SECRET_KEY_FALLBACKS. So while a key is being
    rotated, processes with the new key and processes that know only the old one share their groups.
    """
    return _derived()[0]


def sign(text: str) -> list[str]:
    """
    Returns the text's message authentication codes: one under SECRET_KEY, then one under each fallback.

    Without the codes under the fallbacks, processes that still run with the old key could not verify
    a message while the key is being rotated.
    """
    data = text.encode()
    return [hmac.digest(key, data, "sha256")[:MAC_BYTES].hex() for key in _derived()[1]]


def is_signed(text: str, macs: Iterable[str]) -> bool:
    """Returns whether one of the codes is the text's, under SECRET_KEY or one of its fallbacks."""
    own = sign(text)
    return any(hmac.compare_digest(mac, code) for mac in macs for code in own)


# Cached, because a ring needs both, and reading the settings takes longer than signing the ring.
@cache
def _derived() -> tuple[str, list[bytes]]:
    """Returns the id for group names, and the signing keys."""
    keys = [force_bytes(key) for key in secret_keys()]
    oldest = hmac.digest(keys[-1], b"notify.groups", "sha256").hex()[:ID_DIGITS]
    return oldest, [hmac.digest(key, b"notify.messages", "sha256") for key in keys]


@cache
def database_id() -> str:
    """
    Returns a digest of the address at which this process reaches notify's database.

    Two processes with the same digest use the same database. If the digests differ, they may still do
    so, because a server can have several names.
    """
    config = connections.settings[database()]
    host, port, name = (str(config[part]) for part in ("HOST", "PORT", "NAME"))
    address = [host, port, name, str(config["OPTIONS"].get("service", ""))]
    if load_backend(config["ENGINE"]).DatabaseWrapper.vendor == "sqlite":
        # A file may be mounted at different paths, and a copy may have the same path on another machine.
        with suppress(OSError):  # a database in memory
            file = os.stat(name)
            address = [str(file.st_dev), str(file.st_ino)]
    elif host in LOCAL_HOSTS or host.startswith("/"):  # the directory of a Unix socket
        address[0] = f"local to {socket.gethostname()}"
    return hashlib.sha256("\n".join(address).encode()).hexdigest()[:ID_DIGITS]


def forget(*, setting: str, **kwargs: Any) -> None:
    """Clear the cached values when ``override_settings`` changes what they are derived from."""
    if setting in {"SECRET_KEY", "SECRET_KEY_FALLBACKS"}:
        _derived.cache_clear()
    elif setting == "DATABASES":
        database_id.cache_clear()


setting_changed.connect(forget, dispatch_uid="notify.installation")
