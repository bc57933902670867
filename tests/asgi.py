"""The ASGI application of the test project, for tests that start a web process."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
application = get_asgi_application()

from notify.asgi import notify_asgi

application = notify_asgi(application)
