from __future__ import annotations

from django.apps import AppConfig
from django.core import checks as django_checks
from django.utils.translation import gettext_lazy as _


class NotifyConfig(AppConfig):
    name = "notify"
    verbose_name = _("Notifications")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_out

        from notify import checks, log
        from notify.auth import session as auth

        log.connect()
        user_logged_out.connect(auth.on_logout, dispatch_uid="notify")
        for check in (
            checks.check_urls,
            checks.check_template,
            checks.check_asgi,
            checks.check_languages,
            checks.check_settings,
            checks.check_numbers,
            checks.check_retention,
            checks.check_autocommit,
            checks.check_sqlite,
            checks.check_layer,
            checks.check_nyt,
        ):
            django_checks.register(check, "notify")
