"""The demo as an ASGI application: notify's own paths first, then static files, then Django."""

from __future__ import annotations

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

from notify.asgi import notify_asgi

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_project.settings")

application = notify_asgi(ASGIStaticFilesHandler(get_asgi_application()))
