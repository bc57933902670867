"""
The identity of a user: an opaque text that names, on a page, the user for whom the page was rendered.

A page outlives the request that rendered it. Its tab may reconnect with the session cookie of another
user, and a middleware may replace the user of some requests. So the page sends its identity with each
request, and the server compares it with the user that it has found.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from notify.mac import secret_keys

LENGTH = 16  # hexadecimal digits


def identity(user_id: Any) -> str:
    """
    Returns the identity of a user, which reveals nothing about them and is the same in each session.

    It depends neither on the session's key, which some sites change with each response, nor on the
    password, because a tab stays connected when its user changes that.
    """
    return _digest(user_id, settings.SECRET_KEY)


def is_another(user_id: Any, claimed: str | None) -> bool:
    """
    Returns whether a page was rendered for another user.

    Args:
        user_id: primary key of the user of this request.
        claimed: the identity that the page has sent; None or empty if it has sent none, which is no
            reason to refuse it.
    """
    if not claimed:
        return False
    # A page that was rendered before SECRET_KEY was rotated has the identity of an earlier key.
    return not any(constant_time_compare(claimed, _digest(user_id, key)) for key in secret_keys())


def _digest(user_id: Any, key: str | bytes) -> str:
    mac = salted_hmac("notify.auth.identity", str(user_id), secret=key, algorithm="sha256")
    return mac.hexdigest()[:LENGTH]
