"""
Who is behind a connection: a read-only look-up of session and user.

Channels' own ``get_user`` deletes the session when SECRET_KEY was rotated, as it does not know
SECRET_KEY_FALLBACKS. Here nothing is written.
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
from notify.db import batches
from notify.models import all_users


@dataclass(frozen=True, slots=True)
class Visitor:
    """
    A signed-in user at one end of a connection.

    Attributes:
        session: key of the session; empty where a middleware found the user without one.
        proof: the session's hash of the password, which a new password makes void.
    """

    user: Any
    session: str = ""
    backend: str = ""
    proof: str = ""


def sign_in(scope: Mapping[str, Any]) -> Visitor | None:
    """
    The user of an ASGI scope; nobody is None.

    A user that a middleware around notify has put into the scope is taken as it is, if active.
    """
    user = scope.get("user")
    if user is not None and user.is_authenticated:
        session = scope.get("session")
        key = getattr(session, "session_key", None) or ""
        proof = session.get(HASH_SESSION_KEY, "") if key and session is not None else ""
        backend = session.get(BACKEND_SESSION_KEY, "") if key and session is not None else ""
        if backend not in settings.AUTHENTICATION_BACKENDS:
            backend = ""
        visitor = Visitor(user.pk, key, backend, proof)
        return visitor if _may_enter(user, visitor) else None
    cookies = parse_cookie(header(scope, b"cookie"))
    return look_up(cookies.get(settings.SESSION_COOKIE_NAME, ""))


def look_up(session_key: str) -> Visitor | None:
    """The user signed in to a session, as ``django.contrib.auth.get_user`` finds it."""
    if not session_key:
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
    if user is not None and _proves(user, proof):
        return Visitor(user.pk, session_key, path, proof)
    # A replica may lag behind a sign-up or a new password, and a refusal is final.
    visitor = Visitor(key, session_key, path, proof)
    user = all_users().filter(pk=key).first()
    return visitor if user and _proves(user, proof) and _may_enter(user, visitor) else None


def _session(key: str) -> Mapping[str, Any]:
    """What is in a session; where it is kept in the database alone, from the primary."""
    store = _store()
    if not issubclass(store, DatabaseStore) or issubclass(store, CachedStore):
        return cast("Mapping[str, Any]", store(key))
    found = _sessions(store).filter(session_key=key).first()
    return store().decode(found.session_data) if found else {}


def still_signed_in(visitors: Collection[Visitor]) -> set[Visitor]:
    """
    Those whose session lives and whose user is active and has the same password.

    Two queries for all of them, where sessions are kept in the database.
    """
    sessions = _alive({visitor.session for visitor in visitors if visitor.session})
    users = _users(visitors)
    return {
        visitor
        for visitor in visitors
        if (not visitor.session or visitor.session in sessions)
        and visitor.user in users
        and _may_enter(users[visitor.user], visitor)
    }


def barred(visitors: Collection[Visitor]) -> set[Visitor]:
    """Those whose user is deleted or deactivated, so that no session lets them in. One query."""
    users = _users(visitors)
    return {
        visitor
        for visitor in visitors
        if visitor.user not in users
        or not _may_enter(users[visitor.user], replace(visitor, proof=""))
    }


def _users(visitors: Collection[Visitor]) -> dict[Any, Any]:
    users: dict[Any, Any] = {}
    for batch in batches(list({visitor.user for visitor in visitors})):
        users.update((user.pk, user) for user in all_users().filter(pk__in=batch))
    return users


def _alive(keys: Collection[str]) -> set[str]:
    store = _store()
    if not issubclass(store, DatabaseStore):  # cache, file or cookie: no query to save
        return {key for key in keys if store(key).load()}
    alive: set[str] = set()
    for batch in batches(list(keys)):
        found = _sessions(store).filter(session_key__in=batch)
        alive.update(found.values_list("session_key", flat=True))
    return alive


def _sessions(store: type[DatabaseStore]) -> QuerySet[Any]:
    """The sessions that have not expired; on the primary, as a replica may lag behind a login."""
    model = store.get_model_class()
    primary = model._base_manager.using(router.db_for_write(model))
    return primary.filter(expire_date__gt=timezone.now())


def _may_enter(user: Any, visitor: Visitor) -> bool:
    backend = load_backend(visitor.backend) if visitor.backend else None
    may = getattr(backend, "user_can_authenticate", lambda user: getattr(user, "is_active", True))
    return may(user) and (not visitor.proof or _proves(user, visitor.proof))


def _proves(user: Any, proof: str) -> bool:
    """Whether the session was made with the user's present password, under any key still valid."""
    if not hasattr(user, "get_session_auth_hash"):
        return True
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return bool(proof) and any(constant_time_compare(proof, known) for known in hashes)


def _store() -> type[SessionBase]:
    """The project's session store, reading only: some replace a session that they cannot load."""

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
        own["load"] = load  # Django's takes a cache that is down for a session that is gone
    # By the same name, which is the salt of the session's signature.
    return type(store.__name__, (store,), own)


def fingerprint(session_key: str) -> str:
    """What may travel over a channel layer in place of a session's key."""
    return hashlib.sha256(f"notify {session_key}".encode()).hexdigest()


def on_logout(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    """End the connections of a session that is being left (receiver of ``user_logged_out``)."""
    key = getattr(getattr(request, "session", None), "session_key", None)
    if user is not None and key:
        doorbell.kick(user.pk, fingerprint(key))
