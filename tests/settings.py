"""
The settings of the test suite. Environment variables choose the database and the user model:

    NOTIFY_TEST_DATABASE    sqlite (default), postgresql, mariadb: a private server of this run
    NOTIFY_TEST_USER        default, uuid (UUID keys), char (text keys, no username, no groups)
    NOTIFY_TEST_USE_TZ      1 (default), 0

Processes that the tests start read these settings too, and find the same databases. Each worker of
pytest-xdist has its own databases on the one server of the run.
"""

from __future__ import annotations

import atexit
import glob
import os
import secrets
import tempfile
from typing import Any

from tests.kit.servers import MariaDB, PostgreSQL

DATABASE = os.environ.get("NOTIFY_TEST_DATABASE", "sqlite")
USER = os.environ.get("NOTIFY_TEST_USER", "default")


def once(variable: str, make: Any) -> str:
    """
    Returns the value of an environment variable.

    The first process of the run makes it, the others inherit it.
    """
    if variable not in os.environ:
        os.environ[variable] = make()
    return os.environ[variable]


def choose_files() -> str:
    """
    Returns the common prefix of the paths of the run's files.

    It creates no file, as mypy imports this module too.
    """
    files = f"{tempfile.gettempdir()}/notify-{secrets.token_hex(8)}-"
    atexit.register(remove_files, files)
    return files


def remove_files(beginning: str) -> None:
    for path in glob.glob(f"{beginning}*"):
        os.remove(path)


def start_server() -> str:
    server = {"postgresql": PostgreSQL, "mariadb": MariaDB}[DATABASE]()
    atexit.register(server.close)
    server.start()
    return str(server.port)


FILES = once("NOTIFY_TEST_FILES", choose_files)
# Set by pytest-xdist in its workers, and inherited by the processes that a worker starts.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


def sqlite(name: str) -> dict[str, Any]:
    path = f"{FILES}{name}{WORKER}.sqlite3"
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        # The same file, so that other processes use it too.
        "TEST": {"NAME": path},
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF",
        },
    }


def served(engine: str, user: str, **test: str) -> dict[str, Any]:
    name = f"notify{WORKER}"
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": name,
        "USER": user,
        "HOST": "127.0.0.1",
        "PORT": once("NOTIFY_TEST_PORT", start_server),
        "TEST": {"NAME": name, **test},
    }


DATABASES: dict[str, Any] = {"other": sqlite("other")}
if DATABASE == "sqlite":
    DATABASES["default"] = sqlite("default")
elif DATABASE == "postgresql":
    DATABASES["default"] = served("postgresql", "notify")
elif DATABASE == "mariadb":
    import pymysql

    pymysql.install_as_MySQLdb()
    DATABASES["default"] = served("mysql", "root", CHARSET="utf8mb4")
else:
    raise ValueError(f"NOTIFY_TEST_DATABASE={DATABASE}: use sqlite, postgresql or mariadb.")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "notify",
]
if USER == "default":
    INSTALLED_APPS += ["django.contrib.admin"]
elif USER == "uuid":
    INSTALLED_APPS += ["django.contrib.admin", "tests.kit.users.uuid"]
    AUTH_USER_MODEL = "uuid_users.User"
elif USER == "char":
    INSTALLED_APPS += ["tests.kit.users.char"]
    AUTH_USER_MODEL = "char_users.User"
else:
    raise ValueError(f"NOTIFY_TEST_USER={USER}: use default, uuid or char.")

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ALLOWED_HOSTS = ["testserver", "127.0.0.1", "localhost"]
ASGI_APPLICATION = "tests.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "tests.urls"
SECRET_KEY = "not a secret"
STATIC_URL = "/static/"
USE_TZ = os.environ.get("NOTIFY_TEST_USE_TZ", "1") != "0"
