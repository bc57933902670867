"""System checks: the mistakes of an installation, each with its mend."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import timedelta
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections
from django.template import engines
from django.template.utils import get_app_template_dirs
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.urls.resolvers import LocalePrefixPattern
from django.utils.module_loading import import_string

from notify.conf import PREFIX, Defaults, conf, names
from notify.models import database

TAG = re.compile(r"\{%-?\s*notify\s|\bnotify\(request")  # for Django, for Jinja
TEMPLATE_SUFFIXES = frozenset({".html", ".jinja", ".jinja2", ".j2"})
CORE_LAYER = "channels_redis.core.RedisChannelLayer"
IN_MEMORY_LAYER = "channels.layers.InMemoryChannelLayer"
TRANSPORTS = ("websocket", "sse", "longpoll", "poll")
PUSHED = {"websocket", "sse", "longpoll"}
MAY_BE_ZERO = {"RING_MAX_BYTES", "COMMON_RING_FROM", "COALESCE", "THREADS", "DRAIN_SECONDS"}


def check_urls(**kwargs: Any) -> Iterator[CheckMessage]:
    """The script asks below the prefix where notify.urls is included."""
    try:
        reverse("notify:ws")
    except NoReverseMatch:
        yield Error(
            "The URLs of notify are not included.",
            hint='Add path("notify/", include("notify.urls")) to ROOT_URLCONF.',
            id="notify.E001",
        )


def check_languages(**kwargs: Any) -> Iterator[CheckMessage]:
    """The WebSocket is known by its path before any language is."""
    if "websocket" not in conf.TRANSPORTS:
        return
    for entry in get_resolver().url_patterns:
        if isinstance(entry.pattern, LocalePrefixPattern) and _includes_notify(entry):
            yield Warning(
                "notify.urls is included inside i18n_patterns(): a page in another language than"
                " LANGUAGE_CODE finds no WebSocket at its address.",
                hint='Move path("notify/", include("notify.urls")) out of i18n_patterns().',
                id="notify.W007",
            )


def _includes_notify(entry: URLResolver | URLPattern) -> bool:
    return isinstance(entry, URLResolver) and (
        entry.app_name == "notify" or any(map(_includes_notify, entry.url_patterns))
    )


def check_template(**kwargs: Any) -> Iterator[CheckMessage]:
    """Without the tag no page shows anything. Looked for in DEBUG only, as it reads the templates."""
    if settings.DEBUG and not any(_has_tag(folder) for folder in _template_folders()):
        yield Warning(
            "No template has {% notify %}, so no page shows a notification.",
            hint="Put {% load notify %}{% notify %} before </body> in your base template.",
            id="notify.W008",
        )


def _template_folders() -> set[Path]:
    folders = {
        Path(folder) for name in ("templates", "jinja2") for folder in get_app_template_dirs(name)
    }
    for backend in engines.all():
        folders.update(Path(folder) for folder in getattr(backend, "dirs", ()))
    return folders


def _has_tag(folder: Path) -> bool:
    files = (path for path in folder.rglob("*") if path.suffix in TEMPLATE_SUFFIXES)
    return any(TAG.search(path.read_text(errors="replace")) for path in files)


def check_asgi(**kwargs: Any) -> Iterator[CheckMessage]:
    """Without the line in asgi.py no tab has a WebSocket, and each that is pushed to costs a thread."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path or not PUSHED.intersection(conf.TRANSPORTS):
        return
    from notify.asgi import NotifyASGI

    try:
        application = import_string(path)
    except Exception as error:
        yield Warning(
            f"ASGI_APPLICATION = {path!r} cannot be imported: {error}.",
            hint="Correct the path, or remove the setting where only WSGI is served.",
            id="notify.W001",
        )
        return
    if not (NotifyASGI.made or isinstance(application, NotifyASGI) or _routes_to_us(application)):
        yield Warning(
            f"ASGI_APPLICATION = {path!r} does not serve notify's WebSocket, and answers its streams"
            " and long polls with a thread for each.",
            hint=(
                "Wrap it: application = notify_asgi(get_asgi_application()), with"
                " from notify.asgi import notify_asgi; or set NOTIFY_TRANSPORTS = ['poll']."
            ),
            id="notify.W002",
        )


def _routes_to_us(application: Any) -> bool:
    """Whether a ProtocolTypeRouter uses notify.routing, which its module must have imported then."""
    import sys

    return hasattr(application, "application_mapping") and "notify.routing" in sys.modules


def check_settings(**kwargs: Any) -> Iterator[CheckMessage]:
    """A misspelt setting would be ignored without a word."""
    known = names()
    for name in dir(settings):
        if name.startswith(PREFIX) and name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"The settings are {', '.join(known)}."
            yield Warning(f"{name} is not a setting of notify.", hint=hint, id="notify.W003")
    transports = conf.TRANSPORTS
    strange = [name for name in transports if name not in TRANSPORTS]
    if strange or not transports or isinstance(transports, str):
        yield Error(
            f"NOTIFY_TRANSPORTS = {transports!r} is not a list of transports.",
            hint=(
                'Use "websocket", "sse", "longpoll" and "poll", or some of them, in order of'
                ' preference: ["websocket", "poll"].'
            ),
            id="notify.E002",
        )


def check_numbers(**kwargs: Any) -> Iterator[CheckMessage]:
    """A number out of range would make a loop that never rests, or a page that is always empty."""
    for name, default in vars(Defaults).items():
        if type(default) not in (int, float) and name != "SWEEP_INTERVAL":
            continue
        value = getattr(conf, name)
        is_whole, may_be_zero = type(default) is int, name in MAY_BE_ZERO
        if value is None is default or _is_number(value, is_whole, may_be_zero):
            continue
        kind = "a whole number" if is_whole else "a number"
        yield Error(
            f"{PREFIX}{name} = {value!r} is not {kind} {'of 0 or more' if may_be_zero else 'above 0'}.",
            hint=f"The default is {default!r}.",
            id="notify.E003",
        )


def _is_number(value: Any, is_whole: bool, may_be_zero: bool) -> bool:
    types = (int,) if is_whole else (int, float)  # exactly: True is no number of seconds
    return (
        type(value) in types
        and math.isfinite(value)
        and (value > 0 or (may_be_zero and value == 0))
    )


def check_retention(**kwargs: Any) -> Iterator[CheckMessage]:
    """Else notify_prune refuses, some night."""
    for name in names():
        if not name.startswith(f"{PREFIX}RETENTION_"):
            continue
        value = getattr(conf, name.removeprefix(PREFIX))
        if value is None or (isinstance(value, timedelta) and value >= timedelta()):
            continue
        yield Error(
            f"{name} = {value!r} is not a timedelta of 0 or more.",
            hint="Write timedelta(days=30), with from datetime import timedelta; or None for ever.",
            id="notify.E005",
        )


def check_autocommit(**kwargs: Any) -> Iterator[CheckMessage]:
    """Publishing, reading and sweeping have connections and transactions of their own."""
    alias = database()
    if not connections[alias].settings_dict["AUTOCOMMIT"]:
        yield Error(
            f"DATABASES[{alias!r}]['AUTOCOMMIT'] is False: nothing that notify's own connections"
            " publish or mark is ever committed.",
            hint="Remove it, and open transactions with django.db.transaction.atomic().",
            id="notify.E004",
        )


def check_sqlite(**kwargs: Any) -> Iterator[CheckMessage]:
    """Its one writer may write progress just when the task itself has read and wants to write."""
    alias = database()
    connection: Any = connections[alias]
    if connection.vendor != "sqlite" or connection.is_in_memory_db():
        return
    mode = connection.settings_dict["OPTIONS"].get("transaction_mode") or "DEFERRED"
    if mode.upper() not in {"IMMEDIATE", "EXCLUSIVE"}:
        yield Warning(
            f"DATABASES[{alias!r}] is SQLite in the mode {mode}: a transaction that has read before it"
            ' writes fails at once, "database is locked", where it meets another writer, such as the'
            " progress of a task.",
            hint=(
                'Add "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30,'
                ' "init_command": "PRAGMA journal_mode=WAL"}.'
            ),
            id="notify.W009",
        )


def check_layer(**kwargs: Any) -> Iterator[CheckMessage]:
    """Layers that lose more rings than they must."""
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get(conf.CHANNEL_LAYER)
    if layer is None:
        return
    backend = layer.get("BACKEND")
    if backend == IN_MEMORY_LAYER and not settings.DEBUG:
        yield Warning(
            "The channel layer is in memory: tabs on other processes wait for the sweep.",
            hint="Use channels_redis.pubsub.RedisPubSubChannelLayer where more than one process runs.",
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
                    f"channels_redis' core layer with redis-py 8 needs {' and '.join(missing)} for"
                    f" {_without_password(host)}: idle WebSockets die every 5 s, and the 101st"
                    " connection is refused.",
                    hint=(
                        "Use channels_redis.pubsub.RedisPubSubChannelLayer, or give hosts as"
                        ' {"address": "redis://…", "socket_timeout": None, "max_connections": 10000}.'
                        " See https://github.com/django/channels_redis/issues/422"
                    ),
                    id="notify.W005",
                )


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
    """django-nyt turns its own Channels code on as soon as Channels is installed."""
    if apps.is_installed("django_nyt") and getattr(settings, "NYT_ENABLE_CHANNELS", True):
        yield Warning(
            "django-nyt tries to use Channels, as it is installed, and its notify() then fails.",
            hint="Set NYT_ENABLE_CHANNELS = False.",
            id="notify.W006",
        )
