"""The actions of a notification: links, and actions that the server runs. Checked, and as they are stored."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

from notify import handlers
from notify.exceptions import InvalidNotification
from notify.sending.values import checked_data, checked_text, checked_url

MAX_ACTIONS = 5
MAX_LABEL = 50
MAX_CONFIRM = 200
STYLES = ("", "primary", "danger")


@dataclass(frozen=True, slots=True)
class Action:
    """
    A link or a button at the bottom of a notification: exactly one of ``url`` and ``run``.

        notify.send(user, "Your export is ready", actions=[notify.Action("Download", "/exports/7/")])
        notify.send(
            user,
            "Order 7 was cancelled",
            actions=[notify.Action("Undo", run="orders.undo", args={"order": 7})],
        )

    Args:
        label: plain text of at most 50 characters. It may be a lazy translation.
        url: the target of a link, as for the ``url`` of :func:`notify.send`.
        run: the name of the handler that the server runs (:func:`notify.action`).
        args: the keyword arguments of the handler, as JSON of at most 16 KB. They never leave the server.
        style: ``"primary"`` or ``"danger"``; by default, neither. With ``run`` only.
        confirm: a question that the user answers before the handler is run, at most 200 characters. It may
            be a lazy translation. With ``run`` only.
    """

    label: Any
    url: Any = ""
    _: KW_ONLY
    run: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    style: str = ""
    confirm: Any = ""


def checked(actions: Any) -> list[Action]:
    """
    Returns the actions after a check of everything that does not depend on a language.

    Raises:
        InvalidNotification: if an action cannot be stored, or could not be run.
    """
    if isinstance(actions, Action) or not isinstance(actions, Iterable):
        raise InvalidNotification(
            f"actions must be a list, not {actions!r}. Use [notify.Action(label, url)]."
        )
    found = [each if isinstance(each, Action) else _action(each) for each in actions]
    if len(found) > MAX_ACTIONS:
        raise InvalidNotification(
            f"actions has {len(found)} entries; at most {MAX_ACTIONS} are allowed."
            " Link to a page with the others."
        )
    return [_checked(each) for each in found]


def stored(action: Action) -> dict[str, Any]:
    """Returns an action as it is stored, with its texts and its link in the active language."""
    if not action.run:
        return {"label": _label(action), "url": _url(action)}
    entry = {"label": _label(action), "run": action.run, "args": action.args}
    if action.style:
        entry["style"] = action.style
    if confirm := checked_text("In actions: confirm", action.confirm, MAX_CONFIRM).strip():
        entry["confirm"] = confirm
    return entry


def _action(action: Any) -> Action:
    try:
        return Action(**action)
    except TypeError:
        raise InvalidNotification(
            f"actions contains {action!r}. Each action must be a notify.Action(label, url), or a mapping"
            " with these keys."
        ) from None


def _checked(action: Action) -> Action:
    if not action.run:
        for name in ("args", "style", "confirm"):
            if value := getattr(action, name):
                raise InvalidNotification(
                    f"The action {action.label!r} has {name}={value!r}, but is not run by the server. Add"
                    " run, the name of a handler."
                )
        return action
    if action.url:
        raise InvalidNotification(
            f"The action {action.label!r} has both a url and run={action.run!r}. Use two actions, or return"
            " notify.Outcome(message, url=…) from the handler."
        )
    if action.style not in STYLES:
        raise InvalidNotification(
            f"In actions: style={action.style!r} is not a style. Use 'primary' or 'danger', or omit it."
        )
    return replace(action, args=_arguments(action))


def _arguments(action: Action) -> Any:
    """Returns a copy of the arguments, after a check that the handler exists and takes them."""
    if not isinstance(action.args, Mapping):
        raise InvalidNotification(
            f"In actions: args={action.args!r} must be a mapping, such as {{'order': 7}}."
        )
    handler = handlers.find(action.run)
    if handler is None:
        name = handlers.similar(f"{action.run}")
        hint = (
            f"Did you mean {name!r}?"
            if name
            else "Handlers stand in the notifications.py of an app."
        )
        raise InvalidNotification(
            f"In actions: run={action.run!r} is not the name of a handler. Register it with"
            f" @notify.action({action.run!r}). {hint}"
        )
    args = checked_data(dict(action.args), "In actions: args")
    try:
        inspect.signature(handler).bind(None, None, **args)
    except TypeError as error:
        raise InvalidNotification(
            f"In actions: the handler of run={action.run!r} cannot be called with args={args!r}: {error}."
            " It is called as handler(user, notification, **args)."
        ) from error
    return args


def _label(action: Action) -> str:
    label = checked_text("In actions: label", action.label, MAX_LABEL)
    if not label.strip():
        what = f"run {action.run}" if action.run else f"url {action.url}"
        raise InvalidNotification(f"The action with the {what} must have a label.")
    return label


def _url(action: Action) -> str:
    url = checked_url("In actions: url", action.url)
    if not url:
        raise InvalidNotification(
            f"The action {action.label!r} must have a url or run. Use notify.Action(label, url) for a"
            " link, and notify.Action(label, run=…) for a handler."
        )
    return url
