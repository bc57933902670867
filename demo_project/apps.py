from __future__ import annotations

from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "demo_project"
    label = "demo"
    verbose_name = "Ledger & Co"
    default_auto_field = "django.db.models.BigAutoField"
