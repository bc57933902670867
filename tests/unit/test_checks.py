from __future__ import annotations

import re
import sys
import types
from datetime import timedelta
from importlib import metadata
from typing import Any

import pytest
from django.apps import apps
from django.conf.urls.i18n import i18n_patterns
from django.core.checks import CheckMessage, Error, Warning, run_checks
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse
from django.urls import clear_url_caches, include, path

from notify import checks
from notify.asgi import NotifyASGI, notify_asgi
from notify.conf import Defaults, conf, names

pytestmark = pytest.mark.users

CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
IN_MEMORY = "channels.layers.InMemoryChannelLayer"


def page(request: HttpRequest) -> HttpResponse:
    raise NotImplementedError


urlpatterns = [path("page/", page)]


def found(check: Any) -> list[tuple[str, str, str]]:
    """Returns the id, message and hint of each message of a check."""
    messages: list[CheckMessage] = list(check())
    return [(str(one.id), one.msg, one.hint or "") for one in messages]


@pytest.fixture
def template(settings, tmp_path):
    """Returns a function that writes the only template of a project."""
    settings.DEBUG = True
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [tmp_path]}
    ]
    return (tmp_path / "base.html").write_text


@pytest.mark.django_db  # Django 6.1 also runs the checks of the database
def test_the_project_of_these_tests_is_in_order(settings, template):
    """Each check is registered under the tag of the app. None of them reports anything here."""
    template("{% load notify %}{% notify %}")
    settings.DEBUG = True
    assert run_checks(tags=["notify"]) == []


@pytest.mark.django_db  # Django 6.1 also runs the checks of the database
def test_the_checks_are_registered(settings):
    settings.DEBUG = False
    settings.NOTIFY_RETENTON = 1
    settings.ROOT_URLCONF = __name__
    said = run_checks(tags=["notify"])
    assert {one.id for one in said} == {"notify.E001", "notify.W003", "notify.W004"}


def test_the_ids_are_used_once():
    """Each has a hint."""
    with open(checks.__file__) as file:
        source = file.read()
    used = sorted(re.findall(r'"notify\.([EW]\d{3})"', source))
    errors = [f"E{number:03}" for number in range(1, 7)]
    warnings = [f"W{number:03}" for number in range(1, 12)]
    assert used == [*errors, *warnings]
    assert source.count("hint=") == len(used)


# -- URLs ----------------------------------------------------------------------------------------


def test_missing_urls_are_an_error():
    assert found(checks.check_urls) == []


@pytest.mark.urls(__name__)
def test_missing_urls_are_an_error_indeed():
    (message,) = checks.check_urls()
    assert isinstance(message, Error)
    assert message.id == "notify.E001"
    assert message.msg == "notify.urls is not included in ROOT_URLCONF."
    assert message.hint == 'Add path("notify/", include("notify.urls")) to its urlpatterns.'


def translated(*entries: Any) -> types.ModuleType:
    """A URLconf module."""
    module = types.ModuleType("some_project_urls")
    vars(module)["urlpatterns"] = list(entries)
    return module


NOTIFY = path("notify/", include("notify.urls"))


@pytest.mark.parametrize(
    ("entries", "warned"),
    [
        ([NOTIFY], False),
        ([NOTIFY, *i18n_patterns(path("page/", page))], False),
        (i18n_patterns(NOTIFY), True),
        (i18n_patterns(path("page/", page), NOTIFY, prefix_default_language=False), True),
        (i18n_patterns(path("my/", include([NOTIFY]))), True),
    ],
    ids=["plain", "beside", "inside", "inside, without a prefix", "deeper"],
)
def test_the_path_of_the_websocket_has_no_language(entries, warned, settings, monkeypatch):
    """A page in another language would request an unknown address."""
    monkeypatch.setitem(sys.modules, "some_project_urls", translated(*entries))
    settings.ROOT_URLCONF = "some_project_urls"
    clear_url_caches()
    said = found(checks.check_languages)
    assert [name for name, *_ in said] == ["notify.W007"] * warned
    assert all("i18n_patterns()" in message and "out of" in hint for _, message, hint in said)
    settings.NOTIFY_TRANSPORTS = ["poll"]
    assert found(checks.check_languages) == []


# -- The template tag ----------------------------------------------------------------------------


def test_a_project_whose_templates_lack_the_tag_is_told(template, settings):
    """The badge alone is not enough. If DEBUG is off, no template is read."""
    template("{% load notify %}{% notify_badge %}")
    ((name, message, hint),) = [said[:3] for said in found(checks.check_template)]
    assert name == "notify.W008"
    assert "{% notify %}" in message
    assert "base template" in hint
    settings.DEBUG = False
    assert found(checks.check_template) == []


@pytest.mark.parametrize(
    "text",
    ["{% load notify %}{%notify %}", '{% notify transports="poll" %}', "{{ notify(request) }}"],
)
def test_the_tag_is_found_however_it_is_written(template, text):
    template(text)
    assert found(checks.check_template) == []


# -- ASGI ----------------------------------------------------------------------------------------


async def plain(scope: Any, receive: Any, send: Any) -> None:
    raise NotImplementedError


class Around:
    """Another wrapper, such as that of an error tracker."""

    def __init__(self, app: Any) -> None:
        self.app = app


@pytest.fixture
def asgi(settings, monkeypatch):
    """Returns a function that writes the module asgi.py of a project, with the given line."""
    monkeypatch.setattr(NotifyASGI, "made", False)

    def make(application: Any) -> None:
        class Module(types.ModuleType):
            @property
            def application(self) -> Any:
                return application()

        monkeypatch.setitem(sys.modules, "some_project_asgi", Module("some_project_asgi"))
        settings.ASGI_APPLICATION = "some_project_asgi.application"

    return make


def test_an_application_that_is_wrapped_is_in_order(asgi):
    asgi(lambda: notify_asgi(plain))
    assert found(checks.check_asgi) == []


def test_one_wrapped_within_another_is_too(asgi):
    """This also holds for a second check, when the module is already imported."""
    application = Around(notify_asgi(plain))
    asgi(lambda: application)
    assert found(checks.check_asgi) == []
    assert found(checks.check_asgi) == []


def test_one_that_is_not_wrapped_pushes_nothing(asgi):
    asgi(lambda: plain)
    ((name, message, hint),) = found(checks.check_asgi)
    assert name == "notify.W002"
    assert message == (
        "ASGI_APPLICATION = 'some_project_asgi.application' serves neither notify's WebSocket nor its"
        " streams and long polls, so every tab polls."
    )
    assert "notify_asgi(get_asgi_application())" in hint
    assert "NOTIFY_TRANSPORTS = ['poll']" in hint


def test_a_router_of_the_project_is_in_order(asgi, monkeypatch):
    """A router with notify.routing must have imported it."""
    from channels.routing import ProtocolTypeRouter

    asgi(lambda: ProtocolTypeRouter({"websocket": plain}))
    monkeypatch.delitem(sys.modules, "notify.routing", raising=False)
    assert [name for name, *_ in found(checks.check_asgi)] == ["notify.W002"]
    monkeypatch.setitem(sys.modules, "notify.routing", types.ModuleType("notify.routing"))
    assert found(checks.check_asgi) == []


def test_an_application_that_cannot_be_imported_is_named(settings):
    settings.ASGI_APPLICATION = "nowhere.application"
    ((name, message, hint),) = found(checks.check_asgi)
    assert name == "notify.W001"
    assert message.startswith("ASGI_APPLICATION = 'nowhere.application' could not be imported: ")
    assert "nowhere" in message.partition(": ")[2]
    assert "WSGI" in hint


def test_who_polls_needs_no_asgi(settings):
    settings.ASGI_APPLICATION = "nowhere.application"
    settings.NOTIFY_TRANSPORTS = ["poll"]
    assert found(checks.check_asgi) == []
    del settings.NOTIFY_TRANSPORTS
    settings.ASGI_APPLICATION = None
    assert found(checks.check_asgi) == []


@pytest.fixture
def runserver(monkeypatch):
    """Returns a function that makes this process a ``runserver`` of some app."""

    def make(app: str) -> None:
        monkeypatch.setattr(sys, "argv", ["manage.py", "runserver", "0.0.0.0:8000"])
        monkeypatch.setattr(checks, "get_commands", lambda: {"runserver": app})

    return make


@pytest.mark.parametrize("app", ["django.core", "django.contrib.staticfiles"])
def test_a_runserver_that_serves_wsgi_names_the_two_lines(runserver, settings, app):
    runserver(app)
    ((name, message, hint),) = found(checks.check_runserver)
    assert name == "notify.W011"
    assert "its pages only poll" in message
    assert 'put "daphne" first in INSTALLED_APPS' in hint
    assert 'ASGI_APPLICATION = "tests.asgi.application"' in hint
    settings.NOTIFY_TRANSPORTS = ["poll"]
    assert found(checks.check_runserver) == []


def test_a_runserver_of_daphne_is_in_order(runserver, monkeypatch):
    """It is known by its server, as the runserver of another app, such as WhiteNoise, may extend it."""
    runserver("whitenoise.runserver_nostatic")
    command = types.SimpleNamespace(server_cls=type("Server", (), {}))
    monkeypatch.setattr(checks, "load_command_class", lambda app, name: command)
    assert found(checks.check_runserver) == []


def test_other_commands_do_not_tell_about_runserver(runserver, monkeypatch):
    """A project may be developed under Uvicorn."""
    runserver("django.core")
    for argv in (["manage.py", "check"], ["uvicorn"], ["manage.py"]):
        monkeypatch.setattr(sys, "argv", argv)
        assert found(checks.check_runserver) == []


# -- Settings ------------------------------------------------------------------------------------


def test_a_misspelt_setting_is_asked_about(settings):
    settings.NOTIFY_TRANSPORT = ["poll"]
    ((name, message, hint),) = found(checks.check_settings)
    assert name == "notify.W003"
    assert message == "NOTIFY_TRANSPORT is not a notify setting."
    assert hint == "Did you mean NOTIFY_TRANSPORTS?"


def test_a_setting_like_no_other_is_answered_with_all(settings):
    settings.NOTIFY_QQQQQQ = 1
    ((_, _, hint),) = found(checks.check_settings)
    assert hint.startswith("Use one of NOTIFY_TRANSPORTS, ")


def test_settings_that_exist_are_in_order(settings):
    settings.NOTIFY_MAX_CONNECTIONS = 50
    settings.NOTIFICATIONS_USE_JSONFIELD = True  # of django-notifications-hq
    assert found(checks.check_settings) == []


@pytest.mark.parametrize("transports", [["sockjs"], ["websocket", "pol"], [], "poll"])
def test_transports_are_a_list_of_known_ones(transports, settings):
    settings.NOTIFY_TRANSPORTS = transports
    ((name, message, hint),) = found(checks.check_settings)
    assert name == "notify.E002"
    assert message == f"NOTIFY_TRANSPORTS must be a list of transports, not {transports!r}."
    assert hint == (
        'Use one or more of "websocket", "sse", "longpoll" and "poll", in order of preference, for'
        ' example ["websocket", "poll"].'
    )


@pytest.mark.parametrize(
    "transports", [["poll"], ("websocket",), ["poll", "websocket", "longpoll", "sse"]]
)
def test_known_transports_are_in_order(transports, settings):
    settings.NOTIFY_TRANSPORTS = transports
    assert found(checks.check_settings) == []


@pytest.mark.parametrize(
    ("setting", "value", "kind"),
    [
        ("HEARTBEAT", 0, "a number above 0"),
        ("HEARTBEAT", float("inf"), "a number above 0"),
        ("SWEEP_INTERVAL", "5s", "a number above 0"),
        ("SWEEP_INTERVAL", 0, "a number above 0"),
        ("SWEEP_INTERVAL", timedelta(seconds=5), "a number above 0"),
        ("POLL_INTERVAL", None, "a number above 0"),
        ("RECHECK_INTERVAL", True, "a number above 0"),
        ("LONGPOLL_WAIT", -1.0, "a number above 0"),
        ("DRAIN_SECONDS", -0.1, "a number of 0 or more"),
        ("MAX_CONNECTIONS", 0, "an integer above 0"),
        ("MAX_CONNECTIONS_PER_USER", 1.5, "an integer above 0"),
        ("THREADS", -1, "an integer of 0 or more"),
        ("THREADS", "4", "an integer of 0 or more"),
    ],
)
def test_numbers_are_in_range(setting, value, kind, settings):
    """A heartbeat of zero would be a loop without a pause."""
    setattr(settings, f"NOTIFY_{setting}", value)
    ((name, message, hint),) = found(checks.check_numbers)
    assert name == "notify.E003"
    assert message == f"NOTIFY_{setting} must be {kind}, not {value!r}."
    assert hint == f"The default is {getattr(Defaults, setting)!r}."


def test_numbers_in_range_are_in_order(settings):
    """
    Zero is allowed where it has a meaning, and so are whole seconds and None, which chooses an
    interval.
    """
    for setting in ("THREADS", "DRAIN_SECONDS"):
        setattr(settings, f"NOTIFY_{setting}", 0)
    settings.NOTIFY_HEARTBEAT = 10
    settings.NOTIFY_SWEEP_INTERVAL = 0.5
    assert found(checks.check_numbers) == []
    settings.NOTIFY_SWEEP_INTERVAL = None
    assert found(checks.check_numbers) == []


def test_each_setting_that_is_a_number_is_checked(settings):
    strange = {
        name for name in names() if not isinstance(getattr(conf, name[7:]), (bool, str, tuple))
    }
    for name in strange:
        setattr(settings, name, "many")
    said = {message.partition(" ")[0] for _, message, _ in found(checks.check_numbers)}
    others = {name for name in strange if name.startswith("NOTIFY_RETENTION_")}
    assert said == strange - others - {"NOTIFY_LANGUAGE"}


@pytest.mark.parametrize("setting", ["ARCHIVED", "READ", "UNREAD"])
@pytest.mark.parametrize("value", [30, "30 days", timedelta(days=-1)])
def test_a_retention_is_a_timedelta(settings, setting, value):
    """A number would be ambiguous: days or seconds."""
    setattr(settings, f"NOTIFY_RETENTION_{setting}", value)
    ((name, message, hint),) = found(checks.check_retention)
    assert name == "notify.E005"
    assert message == (
        f"NOTIFY_RETENTION_{setting} must be a timedelta of 0 or more, or None, not {value!r}."
    )
    assert "timedelta(days=30)" in hint


@pytest.mark.parametrize("value", [None, timedelta(), timedelta(days=400)])
def test_a_retention_may_be_none(settings, value):
    for setting in ("ARCHIVED", "READ", "UNREAD"):
        setattr(settings, f"NOTIFY_RETENTION_{setting}", value)
    assert found(checks.check_retention) == []


# -- The database --------------------------------------------------------------------------------


def test_a_database_that_never_commits_cannot_work(monkeypatch):
    """The sweep, readers and publishing rely on autocommit."""
    assert found(checks.check_autocommit) == []
    monkeypatch.setitem(connections["other"].settings_dict, "AUTOCOMMIT", False)
    assert found(checks.check_autocommit) == []
    monkeypatch.setitem(connections["default"].settings_dict, "AUTOCOMMIT", False)
    ((name, message, hint),) = found(checks.check_autocommit)
    assert name == "notify.E004"
    assert message.startswith("DATABASES['default']['AUTOCOMMIT'] is False: ")
    assert "atomic()" in hint


class UsersElsewhere:
    """A router that forgets notify."""

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "other" if model._meta.app_label != "notify" else None


def test_users_in_another_database_than_the_tables_of_notify_are_an_error(settings, monkeypatch):
    """A send would succeed, and each page would fail. Two aliases may name one database."""
    assert found(checks.check_users) == []
    settings.DATABASE_ROUTERS = [f"{__name__}.UsersElsewhere"]
    ((name, message, hint),) = found(checks.check_users)
    assert name == "notify.E006"
    assert "notify's tables into 'default' and the users into 'other'" in message
    assert "migrate notify --database other" in hint
    monkeypatch.setattr(connections["other"], "settings_dict", connections["default"].settings_dict)
    assert found(checks.check_users) == []


@pytest.mark.only_if(connection.vendor == "sqlite")
def test_sqlite_is_to_begin_by_asking_for_its_turn_to_write(monkeypatch):
    options = connections["default"].settings_dict["OPTIONS"]
    for mode in ("IMMEDIATE", "exclusive"):
        monkeypatch.setitem(options, "transaction_mode", mode)
        assert found(checks.check_sqlite) == []
    for mode in (None, "DEFERRED"):
        monkeypatch.setitem(options, "transaction_mode", mode)
        ((name, message, hint),) = found(checks.check_sqlite)
        assert name == "notify.W009"
        assert message.startswith(
            "DATABASES['default'] uses SQLite with transaction_mode DEFERRED: "
        )
        assert '"transaction_mode": "IMMEDIATE"' in hint
    monkeypatch.setattr(type(connections["default"]), "is_in_memory_db", lambda self: True)
    assert found(checks.check_sqlite) == []


# -- The channel layer ---------------------------------------------------------------------------


def layer(backend: str, *hosts: Any) -> dict[str, Any]:
    return {"default": {"BACKEND": backend, "CONFIG": {"hosts": list(hosts)} if hosts else {}}}


def test_a_layer_in_memory_is_for_development(settings):
    settings.CHANNEL_LAYERS = layer(IN_MEMORY)
    settings.DEBUG = False
    (message,) = checks.check_layer()
    assert isinstance(message, Warning)
    assert message.id == "notify.W004"
    assert "in memory" in message.msg
    assert PUBSUB in (message.hint or "")
    settings.DEBUG = True
    assert found(checks.check_layer) == []


def redis_py(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    def lookup(name: str) -> str:
        assert name == "redis"
        if version is None:
            raise metadata.PackageNotFoundError
        return version

    monkeypatch.setattr(checks.metadata, "version", lookup)


WHOLE = {"address": "redis://cache:6379", "socket_timeout": None, "max_connections": 10_000}


@pytest.mark.parametrize(
    ("hosts", "missing", "where"),
    [
        ([], "socket_timeout and max_connections", "'a host'"),
        (["redis://:secret@cache:6379/0"], "socket_timeout and max_connections", "redis://cache"),
        ([("localhost", 6379)], "socket_timeout and max_connections", "('localhost', 6379)"),
        ([{**WHOLE, "address": "redis://x:secret@cache"}], "", ""),
        (
            [{"address": "redis://x:secret@cache", "socket_timeout": None}],
            "max_connections",
            "cache",
        ),
        ([{"host": "cache", "max_connections": 99}], "socket_timeout", "'cache'"),
        ([WHOLE, "redis://other"], "socket_timeout and max_connections", "redis://other"),
    ],
)
def test_the_core_layer_with_redis_py_8_needs_two_options(
    hosts, missing, where, settings, monkeypatch
):
    """Each host is checked, and passwords are not shown."""
    redis_py(monkeypatch, "8.1.0")
    settings.CHANNEL_LAYERS = layer(CORE, *hosts)
    said = found(checks.check_layer)
    assert len(said) == bool(missing)
    for name, message, hint in said:
        assert name == "notify.W005"
        assert f"needs {missing} for" in message
        assert where in message
        assert "secret" not in message
        assert PUBSUB in hint
        assert "socket_timeout" in hint


@pytest.mark.parametrize("version", ["7.0.0", "5.2", None, "unknown"])
def test_the_core_layer_with_an_older_redis_py_is_in_order(version, settings, monkeypatch):
    redis_py(monkeypatch, version)
    settings.CHANNEL_LAYERS = layer(CORE, "redis://cache")
    assert found(checks.check_layer) == []


def test_other_layers_are_in_order(settings, monkeypatch):
    """Without a layer, with pubsub, and with one under an alias that notify does not use."""
    redis_py(monkeypatch, "8.1.0")
    settings.CHANNEL_LAYERS = {}
    assert found(checks.check_layer) == []
    settings.CHANNEL_LAYERS = layer(PUBSUB, "redis://cache")
    assert found(checks.check_layer) == []
    settings.CHANNEL_LAYERS = {**layer(CORE), "toasts": {"BACKEND": PUBSUB}}
    settings.NOTIFY_CHANNEL_LAYER = "toasts"
    assert found(checks.check_layer) == []
    settings.NOTIFY_CHANNEL_LAYER = "default"
    assert [name for name, *_ in found(checks.check_layer)] == ["notify.W005"]


@pytest.mark.parametrize(
    ("host", "number"),
    [
        ("redis://cache:6379/1", "1"),
        ("rediss://:secret@cache/15?ssl_cert_reqs=none", "15"),
        ("redis://cache?db=2", "2"),
        ("unix:///run/redis.sock?db=3", "3"),
        ({"address": "redis://cache/4"}, "4"),
        ({"host": "cache", "db": 5}, "5"),
        ("redis://cache:6379/0", ""),
        ("redis://cache", ""),
        ("unix:///run/redis.sock", ""),
        ({"host": "cache"}, ""),
        ({"host": "cache", "db": 0}, ""),
        (("cache", 6379), ""),
    ],
)
def test_a_database_number_does_not_separate_sites(host, number, settings):
    """Redis ignores it for pub/sub. The core layer stores its messages in that database."""
    settings.CHANNEL_LAYERS = layer(PUBSUB, host)
    said = found(checks.check_prefix)
    assert [name for name, *_ in said] == ["notify.W010"] * bool(number)
    for _, message, hint in said:
        assert f"database {number} of Redis" in message
        assert '"prefix"' in hint
    settings.CHANNEL_LAYERS["default"]["CONFIG"]["prefix"] = "shop"
    assert found(checks.check_prefix) == []
    settings.CHANNEL_LAYERS = layer(CORE, host)
    assert found(checks.check_prefix) == []


@pytest.mark.parametrize("layers", [{}, layer(PUBSUB), {"other": {"BACKEND": PUBSUB}}])
def test_without_a_host_there_is_no_database_number(layers, settings):
    settings.CHANNEL_LAYERS = layers
    assert found(checks.check_prefix) == []


# -- django-nyt ----------------------------------------------------------------------------------


def test_django_nyt_must_not_use_channels(settings, monkeypatch):
    assert found(checks.check_nyt) == []
    monkeypatch.setattr(apps, "is_installed", lambda name: name == "django_nyt")
    ((name, message, hint),) = found(checks.check_nyt)
    assert name == "notify.W006"
    assert "django-nyt" in message
    assert hint == "Set NYT_ENABLE_CHANNELS = False."
    settings.NYT_ENABLE_CHANNELS = False
    assert found(checks.check_nyt) == []
