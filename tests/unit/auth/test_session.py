"""The user of a connection is found as Django finds it, and nothing is ever written."""

from __future__ import annotations

import contextlib
from importlib import import_module

import pytest
from django.conf import settings
from django.contrib.auth import get_user, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.core.cache.backends.base import InvalidCacheKey, memcache_key_warnings
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from notify import doorbell
from notify.auth import session as auth
from notify.auth.session import barred, fingerprint, look_up, sign_in, still_signed_in
from tests.kit.fakes import scope_of

pytestmark = pytest.mark.django_db

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]


@pytest.fixture(params=ENGINES)
def engine(request, settings, tmp_path):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    cache.clear()
    # The file engine remembers its folder.
    store = import_module(settings.SESSION_ENGINE).SessionStore
    with contextlib.suppress(AttributeError):
        del store._storage_path
    yield request.param
    cache.clear()


@pytest.fixture
def browser(user):
    """A browser in which the user is signed in."""
    return browser_of(user)


def browser_of(user):
    browser = Client()
    browser.force_login(user)
    return browser


def cookie_of(browser):
    return browser.cookies["sessionid"].value


def django_finds(key):
    """Returns the user that Django's own request handling finds for a session."""

    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    return user if user.is_authenticated else None


@contextlib.contextmanager
def nothing_written(tmp_path=None):
    """Fail on any statement that writes, and on session files that appear, vanish or change."""

    def files():
        return {path: path.read_text() for path in tmp_path.iterdir()} if tmp_path else {}

    before = files()
    with CaptureQueriesContext(connection) as queries:
        yield
    assert [query["sql"] for query in queries if not query["sql"].startswith("SELECT")] == []
    assert files() == before


# -- Finding -------------------------------------------------------------------------------------


def test_the_user_of_a_session_is_found(engine, user, browser, tmp_path):
    """It works with every session engine of Django, without a write."""
    with nothing_written(tmp_path):
        visitor = look_up(cookie_of(browser))
        assert visitor.user_id == user.pk
        assert still_signed_in([visitor]) == {visitor}


@pytest.mark.database
@pytest.mark.parametrize(
    "key", ["", "x", "no-such-session-0123456789abcdef", "../../etc/passwd", "é", "a\0b", "\ud800"]
)
def test_nobody_is_behind_an_unknown_session(engine, key, tmp_path):
    """No session is created either."""
    with nothing_written(tmp_path):
        assert look_up(key) is None


def test_nobody_is_behind_an_anonymous_session(engine, client, tmp_path):
    session = client.session
    session["basket"] = 1
    session.save()
    with nothing_written(tmp_path):
        assert look_up(session.session_key) is None


def test_nobody_is_behind_an_expired_session(engine, user, tmp_path, settings):
    """The file engine would otherwise create a new session in its place."""
    browser = browser_of(user)
    if engine == "signed_cookies":
        settings.SESSION_COOKIE_AGE = -1
    else:
        session = browser.session
        session.set_expiry(-1)
        session.save()
    with nothing_written(tmp_path):
        assert look_up(cookie_of(browser)) is None


def test_nobody_is_behind_a_session_of_another_kind_of_user(user, browser):
    session = browser.session
    session["_auth_user_id"] = "no such key at all" if user.pk != "no such key at all" else "x"
    session.save()
    assert look_up(cookie_of(browser)) is None


def test_a_backend_that_is_no_longer_installed_lets_nobody_in(browser, settings):
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
    assert look_up(cookie_of(browser)) is None


def test_a_user_who_is_gone_is_nobody(user, browser):
    visitor = look_up(cookie_of(browser))
    user.delete()
    assert look_up(cookie_of(browser)) is None
    assert still_signed_in([visitor]) == set()


@pytest.mark.only_if(settings.USER != "char")  # a model without inactive users
def test_a_deactivated_user_is_nobody(user, browser):
    visitor = look_up(cookie_of(browser))
    user.is_active = False
    user.save()
    assert look_up(cookie_of(browser)) is None
    assert still_signed_in([visitor]) == set()


def test_a_new_password_ends_the_old_sessions(engine, user, browser):
    visitor = look_up(cookie_of(browser))
    user.set_password("another")
    user.save()
    assert look_up(cookie_of(browser)) is None
    assert still_signed_in([visitor]) == set()


def test_a_session_without_a_hash_is_nobodys(browser):
    session = browser.session
    del session["_auth_user_hash"]
    session.save()
    assert look_up(cookie_of(browser)) is None


def test_a_user_model_without_a_session_hash_has_none_to_prove(user, browser, monkeypatch):
    """Django asks only those models for a hash that have one."""
    monkeypatch.delattr(AbstractBaseUser, "get_session_auth_hash")
    visitor = look_up(cookie_of(browser))
    assert visitor.user_id == user.pk
    assert still_signed_in([visitor]) == {visitor}


def test_only_those_who_ended_are_missing(user, other_user):
    """One call looks up several sessions of several users."""
    browsers = [browser_of(user), browser_of(user), browser_of(other_user)]
    visitors = [look_up(cookie_of(browser)) for browser in browsers]
    browsers[0].logout()
    with CaptureQueriesContext(connection) as queries:
        assert still_signed_in(visitors) == set(visitors[1:])
    assert len(queries) == 2


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file"], indirect=True)
def test_a_session_that_names_another_user_is_no_longer_this_users(
    engine, user, other_user, browser, tmp_path
):
    """Code of the project may replace the user of a session, or remove it, and keep the session."""
    visitor = look_up(cookie_of(browser))
    assert still_signed_in([visitor]) == {visitor}
    session = browser.session
    session["_auth_user_id"] = str(other_user.pk)
    session["_auth_user_hash"] = other_user.get_session_auth_hash()
    session.save()
    with nothing_written(tmp_path):
        assert still_signed_in([visitor]) == set()
    (replacement,) = still_signed_in([look_up(cookie_of(browser))])
    assert replacement.user_id == other_user.pk
    session = browser.session
    del session["_auth_user_id"]
    session["basket"] = 1
    session.save()
    assert still_signed_in([visitor, replacement]) == set()


@pytest.mark.only_if(settings.USER != "char")  # a model without inactive users
def test_who_is_gone_for_good_is_told_from_whose_session_ended(make_user):
    """
    A deleted or deactivated user is gone for good; a user with a new password, or without this
    session, is not.
    """
    users = [make_user(f"user{n}") for n in range(4)]
    browsers = [browser_of(user) for user in users]
    visitors = [look_up(cookie_of(browser)) for browser in browsers]
    users[0].delete()
    users[1].is_active = False
    users[1].save()
    users[2].set_password("another")
    users[2].save()
    browsers[3].logout()
    assert still_signed_in(visitors) == set()
    with CaptureQueriesContext(connection) as queries:
        assert barred(visitors) == set(visitors[:2])
    assert len(queries) == 1


# -- SECRET_KEY ----------------------------------------------------------------------------------


def test_a_rotated_key_keeps_its_users_and_writes_nothing(
    engine, user, browser, settings, tmp_path
):
    """Channels' own lookup would delete the session here."""
    key = cookie_of(browser)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", [settings.SECRET_KEY]
    with nothing_written(tmp_path):
        visitor = look_up(key)
        assert visitor.user_id == user.pk
        assert still_signed_in([visitor]) == {visitor}
    assert django_finds(key) == user


def test_a_key_that_is_given_up_ends_its_sessions(browser, settings):
    visitor = look_up(cookie_of(browser))
    settings.SECRET_KEY = "a new one"
    assert look_up(cookie_of(browser)) is None
    assert still_signed_in([visitor]) == set()


# -- The scope -----------------------------------------------------------------------------------


def test_the_session_is_the_one_of_the_cookie(user, browser, settings):
    assert sign_in(scope_of(session=cookie_of(browser))).user_id == user.pk
    assert sign_in(scope_of()) is None
    settings.SESSION_COOKIE_NAME = "other"
    assert sign_in(scope_of(session=cookie_of(browser))).user_id == user.pk
    assert sign_in(scope_of(headers={"cookie": f"sessionid={cookie_of(browser)}"})) is None


def test_the_user_of_a_middleware_is_taken_as_it_is(user, browser):
    visitor = sign_in(scope_of(user=user))
    assert visitor.user_id == user.pk
    assert still_signed_in([visitor]) == {visitor}
    user.delete()
    assert still_signed_in([visitor]) == set()


@pytest.mark.only_if(settings.USER != "char")  # a model without inactive users
def test_an_inactive_user_of_a_middleware_is_nobody(user, browser):
    """Otherwise the recheck would close the connection, and the handshake would welcome it again, forever."""
    user.is_active = False
    user.save()
    assert sign_in(scope_of(user=user)) is None
    assert sign_in(scope_of(user=user) | {"session": browser.session}) is None


@pytest.mark.only_if(settings.USER != "char")
def test_a_backend_that_lets_inactive_users_in_is_asked(user, browser, settings):
    path = "django.contrib.auth.backends.AllowAllUsersModelBackend"
    settings.AUTHENTICATION_BACKENDS = [path]
    session = browser.session
    session["_auth_user_backend"] = path
    session.save()
    user.is_active = False
    user.save()
    visitor = sign_in(scope_of(user=user) | {"session": session})
    assert visitor is not None
    assert still_signed_in([visitor]) == {visitor}


def test_the_sessions_are_looked_up_on_the_primary(user, browser, settings):
    """A replica may not have the session of a user who has just signed in."""
    visitor = look_up(cookie_of(browser))
    settings.DATABASE_ROUTERS = ["tests.unit.auth.test_session.Replica"]
    assert still_signed_in([visitor]) == {visitor}


@pytest.mark.django_db(databases=["default", "other"])
def test_a_replica_that_lags_refuses_nobody(user, browser, settings):
    """Neither a user who has just signed up nor one with a new password is refused."""
    settings.DATABASE_ROUTERS = ["tests.unit.auth.test_session.LaggingReplica"]
    visitor = look_up(cookie_of(browser))
    assert visitor is not None
    assert visitor.user_id == user.pk
    user.is_active = False
    user.save()
    assert look_up(cookie_of(browser)) is None


class CacheThatIsDown(LocMemCache):
    def get(self, *args, **kwargs):
        raise ConnectionError("The cache is down.")


@pytest.fixture
def dead_cache(settings, user):
    """Sessions are kept in a cache. Takes the cache down, and returns the key of the user's session."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    visitor = look_up(cookie_of(browser_of(user)))
    settings.CACHES = {"default": {"BACKEND": "tests.unit.auth.test_session.CacheThatIsDown"}}
    return visitor


def test_a_session_cache_that_is_down_ends_nobody(dead_cache):
    """Django treats this like a missing session. A refusal would be final for every tab."""
    with pytest.raises(ConnectionError):
        look_up(dead_cache.session)
    with pytest.raises(ConnectionError):
        still_signed_in([dead_cache])


class StrictCache(LocMemCache):
    """Refuses the keys that memcached refuses."""

    def validate_key(self, key):
        for problem in memcache_key_warnings(key):
            raise InvalidCacheKey(problem)


def test_nobody_is_behind_a_key_that_the_session_cache_refuses(settings):
    """The cache is not down, so the client is not told to come back."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.StrictCache"}}
    assert look_up("x" * 300) is None


def test_a_poll_is_told_to_come_back_when_the_session_cache_is_down(dead_cache, client, settings):
    client.cookies[settings.SESSION_COOKIE_NAME] = dead_cache.session
    assert client.get("/notify/changes/").status_code == 503
    del client.cookies[settings.SESSION_COOKIE_NAME]
    assert client.get("/notify/changes/").status_code == 401


class LaggingReplica:
    """Routes reads to a database that has no rows yet."""

    def db_for_read(self, model, **hints):
        return "other"

    def db_for_write(self, model, **hints):
        return "default"


class Replica:
    """Routes reads to a database that does not exist."""

    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"


def test_the_session_of_a_middleware_is_watched(user, browser):
    """A session of Channels' AuthMiddlewareStack is watched too, so that a logout finds its connections."""
    visitor = sign_in(scope_of(user=user) | {"session": browser.session})
    assert visitor.session == cookie_of(browser)
    browser.logout()
    assert still_signed_in([visitor]) == set()


def test_a_backend_that_is_no_longer_installed_is_not_asked_about_a_middlewares_user(
    user, browser, settings
):
    """The middleware has found the user in another way."""
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
    visitor = sign_in(scope_of(user=user) | {"session": browser.session})
    assert visitor is not None
    assert (visitor.user_id, visitor.backend) == (user.pk, "")
    assert visitor.proof == browser.session["_auth_user_hash"]


def test_an_impersonated_user_is_taken_with_the_session_of_another(user, other_user, browser):
    """The session's password and backend are the administrator's. The connection ends with the session."""
    visitor = sign_in(scope_of(user=other_user) | {"session": browser.session})
    assert visitor is not None
    assert (visitor.user_id, visitor.owner) == (other_user.pk, str(user.pk))
    assert still_signed_in([visitor]) == {visitor}
    browser.logout()
    assert still_signed_in([visitor]) == set()


def test_where_a_middleware_finds_nobody_the_cookie_counts(user, browser):
    scope = scope_of(session=cookie_of(browser), user=AnonymousUser())
    assert sign_in(scope).user_id == user.pk


# -- Logout --------------------------------------------------------------------------------------


def test_a_logout_rings_for_its_own_session(engine, user, browser, monkeypatch):
    """The ring carries a fingerprint, because the key of a session must not leave the process."""
    kicked = []
    monkeypatch.setattr(doorbell, "kick", lambda *args: kicked.append(args))
    key = cookie_of(browser)
    browser.logout()
    assert kicked == [(user.pk, fingerprint(key))]
    assert key not in fingerprint(key)


def test_a_logout_of_nobody_rings_for_nobody(monkeypatch, client):
    kicked = []
    monkeypatch.setattr(doorbell, "kick", lambda *args: kicked.append(args))
    auth.on_logout(get_user_model(), HttpRequest(), None)
    client.logout()
    assert kicked == []
