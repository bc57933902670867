"""The language of a user is chosen by ``NOTIFY_LANGUAGE``."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import translation

from notify.sending import languages

CODES = {"alice": "de", "bob": None}
NO_CALLABLE = "de"


def language_of(user: Any) -> str | None:
    return CODES[user]


def active_for(user: Any) -> str | None:
    with languages.in_language_of(user):
        return translation.get_language()


def test_the_language_of_the_user_is_active_for_a_while(settings):
    settings.NOTIFY_LANGUAGE = f"{__name__}.language_of"
    assert active_for("alice") == "de"
    assert active_for("bob") == settings.LANGUAGE_CODE
    assert translation.get_language() == settings.LANGUAGE_CODE


def test_without_the_setting_the_active_language_stays(settings):
    settings.NOTIFY_LANGUAGE = None
    with translation.override("fr"):
        assert active_for("alice") == "fr"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere.language", "could not be imported"),
        (f"{__name__}.NO_CALLABLE", "is not callable"),
    ],
)
def test_a_setting_that_names_no_callable_is_an_error(path, words, settings):
    settings.NOTIFY_LANGUAGE = path
    with pytest.raises(ImproperlyConfigured, match=words):
        languages.resolver()
