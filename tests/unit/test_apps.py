from __future__ import annotations

import importlib

import pytest
from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.core.checks import registry

import notify
from notify import checks, log, signals
from notify.actions.checks import check_stored_actions
from notify.apps import NotifyConfig
from notify.auth import session as auth
from notify.models import Mailbox, Notification


def test_the_app_brings_its_own_kind_of_keys(settings):
    """The project's DEFAULT_AUTO_FIELD must not create a migration in the app."""
    settings.DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
    config = apps.get_app_config("notify")
    assert isinstance(config, NotifyConfig)
    assert config.default_auto_field == "django.db.models.BigAutoField"
    assert Notification._meta.pk.get_internal_type() == "BigAutoField"


@pytest.mark.parametrize("model", [Mailbox, Notification])
def test_the_models_are_not_swappable(model):
    """Projects extend a notification by its data."""
    assert not model._meta.swappable
    assert model._meta.app_label == "notify"


@pytest.mark.users
def test_the_names_on_the_user_are_our_own():
    """Four packages claim the name "notifications"."""
    names = {
        relation.get_accessor_name(): relation.related_model
        for relation in apps.get_model(settings.AUTH_USER_MODEL)._meta.related_objects
    }
    assert names["notify_notifications"] is Notification
    assert names["notify_mailbox"] is Mailbox
    assert "notifications" not in names


def test_every_check_is_registered():
    """A check that is not registered never runs."""
    written = {one for name, one in vars(checks).items() if name.startswith("check_")}
    registered = {
        one for one in registry.registry.registered_checks if one.__module__ == checks.__name__
    }
    assert written == registered
    assert all(one.tags == ("notify",) for one in registered)


def test_readiness_comes_twice_without_harm():
    """Some test runners set up Django twice."""
    before = [len(one.receivers) for one in (signals.ring_failed, user_logged_out)]
    NotifyConfig("notify", notify).ready()
    after = [len(one.receivers) for one in (signals.ring_failed, user_logged_out)]
    assert after == before


def test_the_receivers_are_connected():
    for signal, receiver in [
        *log.RECEIVERS.items(),
        (user_logged_out, auth.on_logout),
    ]:
        assert receiver in {reference() for _, reference, *_ in signal.receivers}


def test_the_config_is_found_by_the_name_of_the_package():
    module = importlib.import_module("notify.apps")
    configs = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, AppConfig) and one is not AppConfig
    ]
    assert configs == [NotifyConfig]


def test_the_handlers_of_each_app_are_found(monkeypatch):
    """As the modules named admin are."""
    searched = []
    monkeypatch.setattr("django.utils.module_loading.autodiscover_modules", searched.append)
    NotifyConfig("notify", notify).ready()
    assert searched == ["notifications"]


def test_the_check_of_stored_actions_runs_with_the_database():
    """A plain ``check`` must not query."""
    assert check_stored_actions in registry.registry.registered_checks
    assert set(check_stored_actions.tags) == {"database", "notify"}
