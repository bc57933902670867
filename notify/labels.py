"""
The texts of the interface in the active language, as the client displays them.

The client gets them with the root element, and those of the panel of the inbox with the bell. Some contain
a number, and take different forms for different numbers: two forms in English, three in Polish, six in
Arabic. The rule for the forms is part of the translation, so the server evaluates it, and sends the client
each form and the numbers that take it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from string import ascii_lowercase, digits
from typing import Any

from django.core.signals import setting_changed
from django.utils.autoreload import file_changed
from django.utils.translation import get_language, gettext, ngettext, pgettext

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
        "refused": gettext("That did not work. Try again."),
        "close_all": gettext("Close all"),
        "task": counted(1)["tasks"] % {"count": 1},
        **{level: str(name) for level, name in LEVEL_NAMES.items()},
    }
    return words | _in_forms(counted)


def panel_labels() -> dict[str, str]:
    """Returns the texts of the panel of the inbox, beside those that the root has. ``forms`` is its own."""
    words = {
        "all": gettext("All"),
        "unread": gettext("Unread"),
        "archived": gettext("Archived"),
        "lists": gettext("Lists"),
        "is_unread": pgettext("one notification", "Unread"),
        "mark_read": gettext("Mark as read"),
        "mark_unread": gettext("Mark as unread"),
        "archive": gettext("Archive"),
        "unarchive": gettext("Move to inbox"),
        "was_archived": gettext("Archived."),
        "undo": gettext("Undo"),
        "read_all": gettext("Mark all as read"),
        "older": gettext("Older"),
        "inbox": gettext("Open the inbox"),
        "close": gettext("Close"),
        "offline": gettext("There is no connection. The list may be out of date."),
        "failed": gettext("The notifications could not be loaded."),
        "retry": gettext("Try again"),
        "unsaved": gettext("Your change could not be saved. Try again."),
        "no_all": gettext("You have no notifications. New notifications will appear here."),
        "no_unread": gettext("You have read everything."),
        "no_archived": gettext(
            "Nothing is archived. Notifications that you archive are kept here for a while."
        ),
    }
    return words | _in_forms(counted_in_panel)


def counted(count: int) -> dict[str, str]:
    """Returns the labels that contain a number, in the form that this number takes."""
    return {
        "more": ngettext("%(count)s more", "%(count)s more", count),
        "new": ngettext("%(count)s new", "%(count)s new", count),
        "news": ngettext("%(count)s new notification", "%(count)s new notifications", count),
        "times": ngettext("%(count)s time", "%(count)s times", count),
        "tasks": ngettext("%(count)s task running", "%(count)s tasks running", count),
    }


def counted_in_panel(count: int) -> dict[str, str]:
    """Returns the labels of the panel that contain a number, in the form that this number takes."""
    return {
        "count": ngettext("%(count)s unread", "%(count)s unread", count),
        "like": ngettext("%(count)s more like this", "%(count)s more like this", count),
    }


Texts = Callable[[int], dict[str, str]]


def _in_forms(texts: Texts) -> dict[str, str]:
    """Returns these labels in all forms that numbers take, and as ``forms`` the form of each number."""
    forms, examples = _forms(get_language(), texts)
    words = {"forms": forms, **texts(examples["0"])}
    for form, number in examples.items():
        words |= {f"{key}{form}": text for key, text in texts(number).items() if text != words[key]}
    return words


@cache
def _forms(language: str | None, texts: Texts) -> tuple[str, dict[str, int]]:
    """
    Returns the form of each number, and a number that takes each form.

    Args:
        language: the active language. The result is kept, because it takes hundreds of translations.
        texts: returns the labels that contain a number.
        language: the active language. The result is kept, because it takes 1,000 translations.
    """
    translated = [tuple(texts(number).values()) for number in NUMBERS]
    # Form 0 is that of the last number, so that most languages need only the forms of the first few.
    kinds = list(dict.fromkeys(reversed(translated)))
    forms = "".join(FORMS[kinds.index(texts)] for texts in translated)
    return forms.rstrip("0"), {form: forms.index(form) for form in sorted(set(forms))}


def _forget(**kwargs: Any) -> None:
    """Forget the forms, because a test has changed the settings, or a developer a catalogue."""
    _forms.cache_clear()


setting_changed.connect(_forget, dispatch_uid="notify.labels")
file_changed.connect(_forget, dispatch_uid="notify.labels")
