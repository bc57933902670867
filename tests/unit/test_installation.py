"""The identity of an installation: names of groups, signatures, and the address of the database."""

from __future__ import annotations

import os

import pytest

from notify import installation
from notify.installation import database_id, group_id, is_signed, sign

OLD, NEW = "the old key", "the new key"


class Process:
    """A process of a site, with its settings."""

    def __init__(self, settings, key, *fallbacks):
        self.settings, self.key, self.fallbacks = settings, key, list(fallbacks)

    def __enter__(self):
        self.settings.SECRET_KEY, self.settings.SECRET_KEY_FALLBACKS = self.key, self.fallbacks

    def __exit__(self, *exc_info):
        pass


def hears(sender, receiver, text="text"):
    """Returns two results: both use the same groups; the receiver accepts the signatures of the sender."""
    with sender:
        group, macs = group_id(), sign(text)
    with receiver:
        return (group_id() == group, is_signed(text, macs))


# -- The key -------------------------------------------------------------------------------------


def test_sites_with_different_keys_share_neither_groups_nor_signatures(settings):
    one, other = Process(settings, "one"), Process(settings, "other")
    assert hears(one, one) == (True, True)
    assert hears(one, other) == (False, False)


def test_a_key_may_be_bytes(settings):
    text, data = Process(settings, "key"), Process(settings, b"key")
    assert hears(text, data) == hears(data, text) == (True, True)


def test_while_a_key_is_rotated_old_and_new_processes_understand_each_other(settings):
    old, new = Process(settings, OLD), Process(settings, NEW, OLD)
    assert hears(old, new) == hears(new, old) == (True, True)


def test_after_a_rotation_the_signatures_still_hold(settings):
    """The names of the groups change with the last fallback, and the sweep delivers meanwhile."""
    during, after = Process(settings, NEW, OLD), Process(settings, NEW)
    assert hears(during, after) == hears(after, during) == (False, True)


def test_a_key_that_is_gone_is_not_accepted(settings):
    assert hears(Process(settings, OLD), Process(settings, NEW)) == (False, False)


def test_another_text_has_another_signature():
    assert is_signed("text", sign("text"))
    assert not is_signed("another text", sign("text"))


@pytest.mark.parametrize("macs", [[], [""], ["0" * 32], "", sign("text")[0], {}], ids=repr)
def test_what_is_no_signature_is_not_accepted(macs):
    assert not is_signed("text", macs)


@pytest.mark.parametrize("macs", [None, 7, [None], [7], [b"0"], ["ü"], [["0"]]], ids=repr)
def test_what_cannot_be_compared_is_an_error(macs):
    with pytest.raises(TypeError):
        is_signed("text", macs)


def test_names_and_signatures_do_not_show_the_key(settings):
    settings.SECRET_KEY = "a secret"
    shown = [group_id(), *sign("a secret")]
    assert [len(one) for one in shown] == [16, 32]
    assert not any("secret" in one or b"a secret".hex() in one for one in shown)
    group, (signing,) = installation._derived()
    assert not signing.hex().startswith(group)


def test_each_of_the_keys_is_noticed_when_it_changes_alone(settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, []
    group, (mac,) = group_id(), sign("text")
    settings.SECRET_KEY_FALLBACKS = [OLD]
    assert group_id() != group
    assert sign("text")[0] == mac
    settings.SECRET_KEY = "the next key"
    assert sign("text")[0] != mac


# -- The database --------------------------------------------------------------------------------


@pytest.fixture
def id_of(monkeypatch):
    """Returns a function that returns the digest for an entry of DATABASES."""

    def find(**config):
        config = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", **config}
        config = {"HOST": "", "PORT": "", "OPTIONS": {}, **config}
        monkeypatch.setitem(installation.connections.settings, installation.database(), config)
        installation.forget(setting="DATABASES")
        return database_id()

    yield find
    database_id.cache_clear()


@pytest.mark.parametrize(
    "other",
    [
        {"NAME": "shop_staging"},
        {"HOST": "staging.internal"},
        {"PORT": "5433"},
        {"OPTIONS": {"service": "staging"}},
    ],
    ids=repr,
)
def test_databases_with_different_addresses_are_different(id_of, other):
    address = {"HOST": "db.internal", "PORT": "5432"}
    assert id_of(**address) == id_of(**address)
    assert id_of(**address) != id_of(**address | other)


def test_what_does_not_belong_to_the_address_does_not_count(id_of):
    """A worker may have another user, other timeouts, or an instrumented engine."""
    assert id_of(HOST="db") == id_of(HOST="db", USER="worker", CONN_MAX_AGE=60)
    assert id_of(PORT=5432, OPTIONS={"pool": True}) == id_of(PORT="5432")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "/run/postgresql"])
def test_a_local_server_is_one_server_of_this_machine(id_of, host, monkeypatch):
    """Two machines with a server each may have the same settings."""
    here = id_of(HOST=host)
    assert here == id_of(HOST="")
    assert id_of(HOST="db.internal") != here
    monkeypatch.setattr(installation.socket, "gethostname", lambda: "another machine")
    assert id_of(HOST=host) != here


def test_an_sqlite_file_is_known_by_itself(id_of, tmp_path):
    """It may be mounted at several paths, and a copy at the same path of another machine is another file."""
    file, link, copy = (tmp_path / name for name in ("db", "link", "copy"))
    for path in (file, copy):
        path.write_bytes(b"")
    os.link(file, link)
    sqlite = {"ENGINE": "django.db.backends.sqlite3"}
    assert id_of(NAME=file, **sqlite) == id_of(NAME=str(link), **sqlite)
    assert id_of(NAME=file, **sqlite) != id_of(NAME=copy, **sqlite)


def test_an_sqlite_database_in_memory_is_known_by_its_name(id_of):
    sqlite = {"ENGINE": "django.db.backends.sqlite3"}
    assert id_of(NAME=":memory:", **sqlite) != id_of(NAME="file:x?mode=memory", **sqlite)


def test_other_settings_change_nothing(settings):
    """The cached values are dropped only with what they are derived from."""
    known = group_id(), database_id()
    installation.forget(setting="DATABASES")
    settings.DEBUG = True
    assert (group_id(), database_id()) == known
