"""
Sign-in of a connection: a read-only lookup of its session and user.

Channels' own ``get_user`` deletes the session after SECRET_KEY has been rotated, because it ignores
SECRET_KEY_FALLBACKS. This module writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.cached_db import SessionStore as CachedStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.core.cache import InvalidCacheKey
from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import QuerySet
from django.http import HttpRequest, parse_cookie
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from notify import doorbell
from notify.auth.origin import header
from notify.db import all_users, batches
from notify.models import UNSTORABLE


@dataclass(frozen=True, slots=True)
class Visitor:
    """
    The signed-in user at the other end of a connection.

    Attributes:
        user_id: primary key of the user.
        session: key of the session; empty if a middleware found the user without a session.
        backend: dotted path of the authentication backend; empty if unknown.
        proof: the session's hash of the password, which a new password invalidates.
        owner: primary key of the session's own user, as the session stores it; None if it has none. It
            is another user's if a middleware has replaced the user of the connection.
    """

    user_id: Any
    session: str = ""
    backend: str = ""
    proof: str = ""
    owner: str | None = None


def sign_in(scope: Mapping[str, Any]) -> Visitor | None:
    """
    Returns the visitor of an ASGI scope, or None if no user is signed in.

    If a middleware around notify has put a user into the scope, that user is accepted if active, even if
    the session belongs to another user, as when an administrator impersonates a customer.
    """
    user = scope.get("user")
    if user is not None and user.is_authenticated:
        session = scope.get("session")
        key = getattr(session, "session_key", None) or ""
        found = session if key and session is not None else {}
        owner = found.get(SESSION_KEY)
        visitor = Visitor(user.pk, key, owner=owner)
        # The backend and the proof of a session of another user say nothing about this user.
        if owner == str(user.pk):
            backend = found.get(BACKEND_SESSION_KEY, "")
            if backend not in settings.AUTHENTICATION_BACKENDS:
                backend = ""
            proof = found.get(HASH_SESSION_KEY, "")
            visitor = replace(visitor, backend=backend, proof=proof)
        return visitor if _may_enter(user, visitor) else None
    cookies = parse_cookie(header(scope, b"cookie"))
    return look_up(cookies.get(settings.SESSION_COOKIE_NAME, ""))


def look_up(session_key: str) -> Visitor | None:
    """Returns the visitor of a session, by the rules of ``contrib.auth.get_user``."""
    if not is_storable(session_key):
        return None
    session = _session(session_key)
    try:
        key = get_user_model()._meta.pk.to_python(session[SESSION_KEY])
        path = session[BACKEND_SESSION_KEY]
    except (KeyError, ValidationError):
        return None
    if path not in settings.AUTHENTICATION_BACKENDS:
        return None
    proof = session.get(HASH_SESSION_KEY, "")
    user = load_backend(path).get_user(key)
    owner = session[SESSION_KEY]
    if user is not None and _proves(user, proof):
        return Visitor(user.pk, session_key, path, proof, owner)
    # The lookup is repeated on the primary, because a refusal is final, and a replica may not have a new
    # user or password yet.
    visitor = Visitor(key, session_key, path, proof, owner)
    user = all_users().filter(pk=key).first()
    return visitor if user and _proves(user, proof) and _may_enter(user, visitor) else None


def is_storable(session_key: str) -> bool:
    """Returns whether a database can look for this key. If not, no session has it, now or later."""
    return bool(session_key) and not UNSTORABLE.search(session_key)


def _session(key: str) -> Mapping[str, Any]:
    """Returns the data of a session. Reads the primary if sessions are stored only in the database."""
    store = _store()
    if not issubclass(store, DatabaseStore) or issubclass(store, CachedStore):
        return cast("Mapping[str, Any]", store(key))
    found = _sessions(store).filter(session_key=key).first()
    return store().decode(found.session_data) if found else {}


def still_signed_in(visitors: Collection[Visitor]) -> set[Visitor]:
    """
    Returns the visitors whose session is alive and still that of the same user, and whose user is active
    and has the same password.

    Runs two queries per 500 visitors if sessions are stored in the database.
    """
    alive = _alive({visitor.session for visitor in visitors if visitor.session})
    users = _users(visitors)
    return {
        visitor
        for visitor in visitors
        if (not visitor.session or (visitor.session, visitor.owner) in alive)
        and (user := users.get(visitor.user_id)) is not None
        and _may_enter(user, visitor)
    }


def barred(visitors: Collection[Visitor]) -> set[Visitor]:
    """Returns the visitors whose user was deleted or deactivated. Runs one query per 500 users."""
    users = _users(visitors)
    return {
        visitor
        for visitor in visitors
        if (user := users.get(visitor.user_id)) is None
        or not _may_enter(user, replace(visitor, proof=""))
    }


def _users(visitors: Collection[Visitor]) -> dict[Any, Any]:
    """Returns the users of these visitors, by primary key."""
    users: dict[Any, Any] = {}
    for batch in batches(list({visitor.user_id for visitor in visitors})):
        users.update(all_users().in_bulk(batch))
    return users


def _alive(keys: Collection[str]) -> set[tuple[str, str | None]]:
    """Returns the keys of the sessions that have neither ended nor expired, each with its owner."""
    store = _store()
    # A cache, file or cookie store has no queries that could be combined.
    if not issubclass(store, DatabaseStore):
        loaded = [(key, store(key).load()) for key in keys]
        return {(key, session.get(SESSION_KEY)) for key, session in loaded if session}
    alive: set[tuple[str, str | None]] = set()
    for batch in batches(list(keys)):
        found = _sessions(store).filter(session_key__in=batch)
        rows = found.values_list("session_key", "session_data")
        alive.update((key, store().decode(data).get(SESSION_KEY)) for key, data in rows)
    return alive


def _sessions(store: type[DatabaseStore]) -> QuerySet[Any]:
    """Returns the unexpired sessions, from the primary because a replica may lag behind a login."""
    model = store.get_model_class()
    primary = model._base_manager.using(router.db_for_write(model))
    return primary.filter(expire_date__gt=timezone.now())


def _may_enter(user: Any, visitor: Visitor) -> bool:
    """Returns whether the backend accepts the user and the visitor's proof is still valid."""
    backend = load_backend(visitor.backend) if visitor.backend else None
    may = getattr(backend, "user_can_authenticate", lambda user: getattr(user, "is_active", True))
    return may(user) and (not visitor.proof or _proves(user, visitor.proof))


def _proves(user: Any, proof: str) -> bool:
    """Returns whether the proof matches the user's current password, under any valid secret key."""
    if not hasattr(user, "get_session_auth_hash"):
        return True
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return bool(proof) and any(constant_time_compare(proof, known) for known in hashes)


def _store() -> type[SessionBase]:
    """Returns a read-only session store. Some stores replace a session that they cannot load."""

    def nothing(self: SessionBase, *args: Any, **kwargs: Any) -> None:
        pass

    def load(self: CacheStore) -> dict[str, Any]:
        try:
            return self._cache.get(self.cache_key) or {}  # type: ignore[attr-defined]
        except InvalidCacheKey:
            return {}

    store = import_module(settings.SESSION_ENGINE).SessionStore
    own: dict[str, Any] = {"create": nothing, "delete": nothing, "save": nothing}
    if getattr(store, "load", None) is CacheStore.load:
        own["load"] = load  # Django's own load() treats an unreachable cache like an ended session.
    # The class keeps its name, because the name is part of the salt of the session's signature.
    return type(store.__name__, (store,), own)


def fingerprint(session_key: str) -> str:
    """Returns a hash of a session's key. The key itself must not be sent over a channel layer."""
    return hashlib.sha256(f"notify {session_key}".encode()).hexdigest()


def on_logout(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    """Close the connections of a session at logout. A receiver of ``user_logged_out``."""
    key = getattr(getattr(request, "session", None), "session_key", None)
    if user is not None and key:
        doorbell.kick(user.pk, fingerprint(key))
