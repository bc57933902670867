"""System checks that report mistakes in a project's settings and templates, each with a hint."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning
from django.core.management import get_commands, load_command_class
from django.core.servers.basehttp import WSGIServer
from django.db import connections, router
from django.template import engines
from django.template.utils import get_app_template_dirs
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.urls.resolvers import LocalePrefixPattern
from django.utils.module_loading import import_string

from notify.conf import PREFIX, Defaults, conf, names
from notify.db import database

TAG = re.compile(r"\{%-?\s*notify\s|\bnotify\(request")  # in Django and in Jinja templates
TEMPLATE_SUFFIXES = frozenset({".html", ".jinja", ".jinja2", ".j2"})
CORE_LAYER = "channels_redis.core.RedisChannelLayer"
PUBSUB_LAYER = "channels_redis.pubsub.RedisPubSubChannelLayer"
IN_MEMORY_LAYER = "channels.layers.InMemoryChannelLayer"
TRANSPORTS = ("websocket", "sse", "longpoll", "poll")
PUSHED = {"websocket", "sse", "longpoll"}
MAY_BE_ZERO = {"THREADS", "DRAIN_SECONDS"}


def check_urls(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check that notify.urls is included. Without it, the client has no URL to connect to."""
    try:
        reverse("notify:ws")
    except NoReverseMatch:
        yield Error(
            "notify.urls is not included in ROOT_URLCONF.",
            hint='Add path("notify/", include("notify.urls")) to its urlpatterns.',
            id="notify.E001",
        )


def check_languages(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check i18n_patterns(): ``notify_asgi()`` knows only the paths for LANGUAGE_CODE."""
    if not PUSHED.intersection(conf.TRANSPORTS):
        return
    for entry in get_resolver().url_patterns:
        if isinstance(entry.pattern, LocalePrefixPattern) and _includes_notify(entry):
            yield Warning(
                "notify.urls is included inside i18n_patterns(), so notify_asgi() knows its addresses only"
                " in LANGUAGE_CODE, and pages in other languages fall back to polling.",
                hint='Move path("notify/", include("notify.urls")) out of i18n_patterns().',
                id="notify.W007",
            )


def _includes_notify(entry: URLResolver | URLPattern) -> bool:
    return isinstance(entry, URLResolver) and (
        entry.app_name == "notify" or any(map(_includes_notify, entry.url_patterns))
    )


def check_template(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check, with DEBUG only, as it reads all templates, that one of them has ``{% notify %}``."""
    if settings.DEBUG and not any(_has_tag(folder) for folder in _template_folders()):
        yield Warning(
            "No template contains {% notify %}, so no page shows notifications.",
            hint="Add {% load notify %}{% notify %} before </body> in your base template.",
            id="notify.W008",
        )


def _template_folders() -> set[Path]:
    folders = {
        Path(folder) for name in ("templates", "jinja2") for folder in get_app_template_dirs(name)
    }
    for backend in engines.all():
        folders.update(Path(folder) for folder in getattr(backend, "dirs", ()))
    return folders - {Path(__file__).parent / "templates"}


def _has_tag(folder: Path) -> bool:
    files = (path for path in folder.rglob("*") if path.suffix in TEMPLATE_SUFFIXES)
    return any(TAG.search(path.read_text(errors="replace")) for path in files)


def check_asgi(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check that asgi.py calls notify_asgi(): without it, nothing is pushed and every tab polls."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path or not PUSHED.intersection(conf.TRANSPORTS):
        return
    from notify.asgi import NotifyASGI

    try:
        application = import_string(path)
    except Exception as error:
        yield Warning(
            f"ASGI_APPLICATION = {path!r} could not be imported: {error}.",
            hint="Correct the path. If you deploy under WSGI only, remove the setting.",
            id="notify.W001",
        )
        return
    if not (NotifyASGI.made or isinstance(application, NotifyASGI) or _routes_to_us(application)):
        yield Warning(
            f"ASGI_APPLICATION = {path!r} serves neither notify's WebSocket nor its streams and long"
            " polls, so every tab polls.",
            hint=(
                "Wrap it: application = notify_asgi(get_asgi_application()), with"
                " from notify.asgi import notify_asgi; or set NOTIFY_TRANSPORTS = ['poll']."
            ),
            id="notify.W002",
        )


def _routes_to_us(application: Any) -> bool:
    """Returns whether it is a ProtocolTypeRouter, and notify.routing has been imported."""
    return hasattr(application, "application_mapping") and "notify.routing" in sys.modules


def check_runserver(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check, when ``runserver`` starts, that it is Daphne's: Django's own serves only WSGI."""
    if sys.argv[1:2] != ["runserver"] or not PUSHED.intersection(conf.TRANSPORTS):
        return
    command = load_command_class(get_commands()["runserver"], "runserver")
    if issubclass(getattr(command, "server_cls", object), WSGIServer):
        project = settings.SETTINGS_MODULE.partition(".")[0]
        yield Warning(
            "runserver serves WSGI, which cannot push, so its pages only poll.",
            hint=(
                'Install daphne, then put "daphne" first in INSTALLED_APPS and set ASGI_APPLICATION ='
                f' "{project}.asgi.application"; or set NOTIFY_TRANSPORTS = ["poll"].'
            ),
            id="notify.W011",
        )


def check_settings(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check for misspelled settings, which Django would ignore, and for unknown transports."""
    known = names()
    for name in dir(settings):
        if name.startswith(PREFIX) and name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Use one of {', '.join(known)}."
            yield Warning(f"{name} is not a notify setting.", hint=hint, id="notify.W003")
    transports = conf.TRANSPORTS
    strange = [name for name in transports if name not in TRANSPORTS]
    if strange or not transports or isinstance(transports, str):
        yield Error(
            f"NOTIFY_TRANSPORTS must be a list of transports, not {transports!r}.",
            hint=(
                'Use one or more of "websocket", "sse", "longpoll" and "poll", in order of'
                ' preference, for example ["websocket", "poll"].'
            ),
            id="notify.E002",
        )


def check_numbers(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check numeric settings. A value out of range could cause a loop without a pause."""
    for name, default in vars(Defaults).items():
        if type(default) not in (int, float) and name != "SWEEP_INTERVAL":
            continue
        value = getattr(conf, name)
        is_whole, may_be_zero = type(default) is int, name in MAY_BE_ZERO
        if value is None is default or _is_number(value, is_whole, may_be_zero):
            continue
        kind = "an integer" if is_whole else "a number"
        yield Error(
            f"{PREFIX}{name} must be {kind} {'of 0 or more' if may_be_zero else 'above 0'}, not {value!r}.",
            hint=f"The default is {default!r}.",
            id="notify.E003",
        )


def _is_number(value: Any, is_whole: bool, may_be_zero: bool) -> bool:
    types = (int,) if is_whole else (int, float)  # exact types, because bool is a subclass of int
    return (
        type(value) in types
        and math.isfinite(value)
        and (value > 0 or (may_be_zero and value == 0))
    )


def check_retention(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check the retention settings now, because notify_prune would reject invalid ones only at night."""
    for name in names():
        if not name.startswith(f"{PREFIX}RETENTION_"):
            continue
        value = getattr(conf, name.removeprefix(PREFIX))
        if value is None or (isinstance(value, timedelta) and value >= timedelta()):
            continue
        yield Error(
            f"{name} must be a timedelta of 0 or more, or None, not {value!r}.",
            hint=(
                "Use a timedelta, for example datetime.timedelta(days=30), or None to keep"
                " notifications forever."
            ),
            id="notify.E005",
        )


def check_users(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check that the users are in the database of notify's tables, because each read joins them."""
    ours, theirs = database(), router.db_for_write(get_user_model())
    if _server(ours) != _server(theirs):
        yield Error(
            f"DATABASE_ROUTERS put notify's tables into {ours!r} and the users into {theirs!r}: sends"
            " succeed, but no tab can read, because each read joins the users.",
            hint=(
                f'Have your router return {theirs!r} for the app label "notify" too, and run'
                f" manage.py migrate notify --database {theirs}."
            ),
            id="notify.E006",
        )


def _server(alias: str) -> list[Any]:
    """Returns what identifies a database, as two aliases may name the same one."""
    return [connections[alias].settings_dict.get(key) for key in ("ENGINE", "HOST", "PORT", "NAME")]


def check_autocommit(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check AUTOCOMMIT. Without it, nothing would commit what notify writes on its own connections."""
    alias = database()
    if not connections[alias].settings_dict["AUTOCOMMIT"]:
        yield Error(
            f"DATABASES[{alias!r}]['AUTOCOMMIT'] is False: nothing that notify publishes or marks on"
            " its own connections is ever committed.",
            hint="Remove this option, and open transactions with django.db.transaction.atomic().",
            id="notify.E004",
        )


def check_sqlite(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check that SQLite locks at BEGIN: a lock taken after a read fails if another connection wrote."""
    alias = database()
    connection: Any = connections[alias]
    if connection.vendor != "sqlite" or connection.is_in_memory_db():
        return
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode") or "DEFERRED"
    if mode.upper() not in {"IMMEDIATE", "EXCLUSIVE"}:
        yield Warning(
            f"DATABASES[{alias!r}] uses SQLite with transaction_mode {mode}: a transaction that reads"
            ' before it writes fails with "database is locked" if another connection is writing, for'
            " example the one that writes the progress of a task.",
            hint=(
                'Add "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30,'
                ' "init_command": "PRAGMA journal_mode=WAL"}.'
            ),
            id="notify.W009",
        )


def check_layer(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check for channel layers that lose more rings than necessary."""
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get(conf.CHANNEL_LAYER)
    if layer is None:
        return
    backend = layer.get("BACKEND")
    if backend == IN_MEMORY_LAYER and not settings.DEBUG:
        yield Warning(
            "The channel layer is in memory, so tabs that are connected to another process get a"
            " notification only at that process's next sweep (NOTIFY_SWEEP_INTERVAL).",
            hint="If you run more than one process, use channels_redis.pubsub.RedisPubSubChannelLayer.",
            id="notify.W004",
        )
    if backend == CORE_LAYER and _redis_version() >= 8:
        hosts = layer.get("CONFIG", {}).get("hosts") or [{}]
        for host in hosts:
            options = host if isinstance(host, dict) else {}
            missing = [
                name for name in ("socket_timeout", "max_connections") if name not in options
            ]
            if missing:
                yield Warning(
                    "With redis-py 8 or newer, the core layer of channels_redis needs"
                    f" {' and '.join(missing)} for {_without_password(host)}: without"
                    " socket_timeout, idle WebSockets break every 5 seconds; without"
                    " max_connections, the 101st connection is refused.",
                    hint=(
                        "Use channels_redis.pubsub.RedisPubSubChannelLayer, or configure each host as"
                        ' {"address": "redis://…", "socket_timeout": None, "max_connections": 10000}.'
                        " See https://github.com/django/channels_redis/issues/422"
                    ),
                    id="notify.W005",
                )


def check_prefix(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check for a database number of Redis that seems to separate sites, but does not."""
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get(conf.CHANNEL_LAYER) or {}
    config = layer.get("CONFIG", {})
    if layer.get("BACKEND") != PUBSUB_LAYER or "prefix" in config:
        return
    for number in filter(None, map(_database_number, config.get("hosts") or ())):
        yield Warning(
            f"The channel layer names database {number} of Redis, but Redis ignores the number for the"
            " messages of the pubsub layer: they reach every site that uses this Redis.",
            hint=(
                'Add a "prefix" of this site\'s own, such as {"hosts": […], "prefix": "shop-staging"}.'
                " notify tells sites apart by SECRET_KEY and database, but other consumers do not."
            ),
            id="notify.W010",
        )


def _database_number(host: Any) -> str:
    """Returns the database number in a host of channels_redis; an empty string if it is 0 or not given."""
    options = host if isinstance(host, dict) else {"address": host}
    address, number = options.get("address"), options.get("db")
    if number is None and isinstance(address, str):
        parts = urlsplit(address)
        path = "" if parts.scheme == "unix" else parts.path.strip("/")
        number = parse_qs(parts.query).get("db", [path])[0]
    return "" if number in (None, 0, "0") else str(number)


def _redis_version() -> int:
    try:
        return int(metadata.version("redis").partition(".")[0])
    except (metadata.PackageNotFoundError, ValueError):
        return 0


def _without_password(host: Any) -> str:
    address = host.get("address", host.get("host", "a host")) if isinstance(host, dict) else host
    parts = urlsplit(address) if isinstance(address, str) else None
    return f"{parts.scheme}://{parts.hostname}" if parts and parts.hostname else repr(address)


def check_nyt(**kwargs: Any) -> Iterator[CheckMessage]:
    """Check that django-nyt does not use Channels, which it does by default if Channels is installed."""
    if apps.is_installed("django_nyt") and getattr(settings, "NYT_ENABLE_CHANNELS", True):
        yield Warning(
            "Because Channels is installed, django-nyt uses it, and django_nyt's notify() fails.",
            hint="Set NYT_ENABLE_CHANNELS = False.",
            id="notify.W006",
        )
