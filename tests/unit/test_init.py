from __future__ import annotations

import subprocess
import sys

import pytest

import notify
from notify import exceptions, handlers
from notify.sending import actions, calls
from notify.tracking import handle


def run(script: str) -> str:
    """Run code in a new interpreter without settings. Returns its output."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_name_is_there():
    """The exported names exist, and tools can see them."""
    for name in notify.__all__:
        assert getattr(notify, name) is not None
        assert name in dir(notify)
    assert notify.__all__ == sorted(notify.__all__)


def test_the_names_lead_inward():
    assert notify.send is calls.send
    assert notify.asend_many is calls.asend_many
    assert notify.Action is actions.Action
    assert notify.action is handlers.action
    assert notify.progress is handle.progress
    assert notify.Cancelled is exceptions.Cancelled
    assert notify.inbox.__name__ == "notify.inbox"


def test_every_call_of_the_api_is_at_the_door():
    """A twin or a verb that is missing from the package would not be found by its users."""
    public = {
        name
        for name in vars(calls)
        if name in ("send", "send_many", "retract", "disconnect")
        or name in ("debug", "info", "success", "warning", "error")
    }
    public |= {name for name in vars(calls) if name.startswith("a") and name[1:] in public}
    others = {
        "Action",
        "Cancelled",
        "Outcome",
        "action",
        "atrack",
        "inbox",
        "progress",
        "track",
        "tracked",
    }
    assert {*notify.__all__} == public | others


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'notify' has no attribute 'tell'"):
        notify.tell  # noqa: B018
    assert not hasattr(notify, "Notification")


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert version("django-notify-live") == notify.__version__


def test_importing_the_package_imports_nothing_else():
    """Django imports it while its models cannot be imported yet."""
    script = (
        "import sys; before = set(sys.modules); import notify; notify.__version__; dir(notify);"
        "print(sorted(name for name in set(sys.modules) - before if name.split('.')[0] in"
        " ('django', 'channels', 'asgiref', 'notify')))"
    )
    assert run(script) == "['notify']"


def test_the_docstring_shows_the_calls():
    """Each call in it exists."""
    shown = notify.__doc__ or ""
    for name in ("send", "send_many", "success", "asend", "disconnect"):
        assert f"notify.{name}(" in shown
