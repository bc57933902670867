"""
Settings of the demo, for Django 5.2 and 6.

Read from the environment: DEBUG, SECRET_KEY, ALLOWED_HOSTS, DEMO_DATA_DIR, DATABASE_URL, REDIS_URL.
"""

from __future__ import annotations

import os
from pathlib import Path

import dj_database_url
import django

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DEMO_DATA_DIR") or BASE_DIR / "demo_data")
DATA_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = os.environ.get("DEBUG", "1").lower() not in {"", "0", "false", "no", "off"}
SECRET_KEY = os.environ.get("SECRET_KEY", "the demo keeps no secrets")
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "demo_project",
    "notify",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_tasks_db",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "demo_project.middleware.content_security_policy",
    "demo_project.middleware.plain_404",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "demo_project.urls"
ASGI_APPLICATION = "demo_project.asgi.application"
WSGI_APPLICATION = "demo_project.wsgi.application"

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

# The database: a file, unless DATABASE_URL names a server (postgres://… or mysql://…).
if url := os.environ.get("DATABASE_URL"):
    DATABASES = {"default": dj_database_url.parse(url)}
    if "mysql" in DATABASES["default"]["ENGINE"]:
        import pymysql

        pymysql.install_as_MySQLdb()
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "demo.sqlite3",
            # The site and the worker are two processes on one file: readers do not wait for
            # the writer (WAL), and a writer asks for its turn at once and waits for it.
            "OPTIONS": {
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
                "transaction_mode": "IMMEDIATE",
                "timeout": 30,
            },
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The doorbell. Without Redis there is none between the site and the worker: notify's sweep looks
# for news once a second.
if url := os.environ.get("REDIS_URL"):
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [url]},
        }
    }

# Django 6 has the Tasks API; before that, it is a package of its own.
if django.VERSION >= (6, 0):
    IMMEDIATE_BACKEND = "django.tasks.backends.immediate.ImmediateBackend"
else:
    IMMEDIATE_BACKEND = "django_tasks.backends.immediate.ImmediateBackend"
    INSTALLED_APPS.append("django_tasks")
TASKS = {
    "default": {"BACKEND": "django_tasks_db.DatabaseBackend"},  # run by `manage.py db_worker`
    "immediate": {"BACKEND": IMMEDIATE_BACKEND},
}

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
MEDIA_ROOT = DATA_DIR / "uploads"  # never served: an import belongs to one user

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
