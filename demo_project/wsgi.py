"""The demo as a WSGI application: no WebSocket here, so notify polls."""

from __future__ import annotations

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_project.settings")

application = StaticFilesHandler(get_wsgi_application())
