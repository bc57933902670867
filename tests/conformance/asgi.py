"""An ASGI application of Django alone, as ``startproject`` makes it: notify has its views."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.conformance.settings")
application = get_asgi_application()
