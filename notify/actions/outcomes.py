"""The outcome of an action: the result of its handler, as it is stored with the notification."""

from __future__ import annotations

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from notify.handlers import Outcome
from notify.sending.content import checked_level
from notify.sending.values import checked_url, shortened


def stored(action: int, returned: Any) -> dict[str, Any]:
    """
    Returns the outcome of an action in the active language, as JSON.

    A message that is too long is cut, because the handler has done its work.

    Args:
        action: the index of the action.
        returned: what its handler returned.

    Raises:
        TypeError: if it is not None, a text or an :class:`Outcome`.
        InvalidNotification: if its level or its URL is invalid.
    """
    if returned is None or isinstance(returned, (str, Promise)):
        returned = Outcome(returned)
    if not isinstance(returned, Outcome):
        raise TypeError(
            f"The handler of an action must return None, a text or notify.Outcome, not {returned!r}."
        )
    return {
        "action": action,
        "message": shortened(returned.message).strip() or _("Done."),
        "level": checked_level(returned.level),
        "url": checked_url("url", returned.url),
    }


def loaded(outcome: Any) -> Outcome:
    """Returns a stored outcome."""
    return Outcome(outcome["message"], level=outcome["level"], url=outcome["url"])
