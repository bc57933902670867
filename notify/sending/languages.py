"""The language of a user, by ``NOTIFY_LANGUAGE``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import translation
from django.utils.module_loading import import_string

from notify.conf import conf


def resolver() -> Callable[[Any], str | None]:
    """
    Returns the callable of ``NOTIFY_LANGUAGE``, which takes a user and returns a language code.

    Raises:
        ImproperlyConfigured: if the setting does not name a callable.
    """
    path = conf.LANGUAGE
    try:
        language_of: Callable[[Any], str | None] = import_string(path)
    except (ImportError, AttributeError) as error:
        raise ImproperlyConfigured(
            f"NOTIFY_LANGUAGE = {path!r} could not be imported. It must be the dotted path of a callable"
            " that takes a user and returns a language code."
        ) from error
    if not callable(language_of):
        raise ImproperlyConfigured(
            f"NOTIFY_LANGUAGE = {path!r} is not callable. It must be a callable that takes a user and"
            " returns a language code."
        )
    return language_of


def in_language_of(user: Any) -> AbstractContextManager[None]:
    """Activates the language of a user; without the setting, the active language stays."""
    if conf.LANGUAGE is None:
        return nullcontext()
    return translation.override(resolver()(user) or settings.LANGUAGE_CODE)
