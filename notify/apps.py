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
        from django.core.signals import got_request_exception
        from django.utils.module_loading import autodiscover_modules

        from notify import checks, log
        from notify.actions.checks import check_stored_actions
        from notify.auth import session as auth
        from notify.transports import outage

        log.connect()
        user_logged_out.connect(auth.on_logout, dispatch_uid="notify")
        got_request_exception.connect(outage.on_exception, dispatch_uid="notify")
        for name, check in vars(checks).items():
            if name.startswith("check_"):
                django_checks.register(check, "notify")
        django_checks.register(check_stored_actions, django_checks.Tags.database, "notify")
        autodiscover_modules("notifications")  # the handlers of actions
