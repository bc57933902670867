"""The settings of the demo behind a proxy that terminates TLS and says so."""

from __future__ import annotations

from demo_project.settings import *  # noqa: F403

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
