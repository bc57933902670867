"""
The texts of the interface in the active language, as the client displays them.

The client gets them with the root element. Three of them contain a number, and take different forms for
different numbers: two forms in English, three in Polish, six in Arabic. The rule for the forms is part of
the translation, so the server evaluates it, and sends the client each form and the numbers that take it.
"""

from __future__ import annotations

from functools import cache
from string import ascii_lowercase, digits
from typing import Any

from django.core.signals import setting_changed
from django.utils.autoreload import file_changed
from django.utils.translation import get_language, gettext, ngettext

from notify.models import LEVEL_NAMES

# A larger number takes the form of the number from 100 to 199 with the same last two digits.
NUMBERS = range(200)
FORMS = digits + ascii_lowercase


def labels() -> dict[str, str]:
    """
    Returns the texts that the client displays.

    ``forms`` has one character for each number from 0: its form. Numbers at the end that take form 0 are
    left out. ``more`` is form 0 of a label, ``more1`` its form 1 if that differs, and so on.
    """
    forms, examples = _forms(get_language())
    words = {
        "notifications": gettext("Notifications"),
        "dismiss": gettext("Dismiss"),
        "actions": gettext("Press F6 for actions."),
        "progress": gettext("%(done)s of %(total)s"),
        "left": gettext("about %(time)s left"),
        "queued": gettext("Waiting to start"),
        "silent": gettext("No response for a while"),
        "lost": gettext("Contact with this task was lost"),
        "cancel": gettext("Cancel"),
        "cancelling": gettext("Cancelling…"),
        "fewer": gettext("Show fewer"),
        "whole": gettext("Show more"),
        "task": counted(1)["tasks"] % {"count": 1},
        "forms": forms,
        **{level: str(name) for level, name in LEVEL_NAMES.items()},
        **counted(examples["0"]),
    }
    for form, number in examples.items():
        others = counted(number).items()
        words |= {f"{name}{form}": text for name, text in others if text != words[name]}
    return words


def counted(count: int) -> dict[str, str]:
    """Returns the labels that contain a number, in the form that this number takes."""
    return {
        "more": ngettext("%(count)s more", "%(count)s more", count),
        "new": ngettext("%(count)s new", "%(count)s new", count),
        "times": ngettext("%(count)s time", "%(count)s times", count),
        "tasks": ngettext("%(count)s task running", "%(count)s tasks running", count),
    }


@cache
def _forms(language: str | None) -> tuple[str, dict[str, int]]:
    """
    Returns the form of each number, and a number that takes each form.

    Args:
        language: the active language. The result is kept, because it takes 800 translations.
    """
    translated = [tuple(counted(number).values()) for number in NUMBERS]
    # Form 0 is that of the last number, so that most languages need only the forms of the first few.
    kinds = list(dict.fromkeys(reversed(translated)))
    forms = "".join(FORMS[kinds.index(texts)] for texts in translated)
    return forms.rstrip("0"), {form: forms.index(form) for form in sorted(set(forms))}


def _forget(**kwargs: Any) -> None:
    """Forget the forms, because a test has changed the settings, or a developer a catalogue."""
    _forms.cache_clear()


setting_changed.connect(_forget, dispatch_uid="notify.labels")
file_changed.connect(_forget, dispatch_uid="notify.labels")
