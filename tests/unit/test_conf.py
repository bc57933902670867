from __future__ import annotations

import inspect
import re

import pytest
from django.test import override_settings

from notify import conf as module
from notify.conf import Defaults, conf, names


@pytest.mark.parametrize("name", names())
def test_each_setting_has_a_default_and_is_overridden_at_once(name):
    """This includes settings that have been read before."""
    short = name.removeprefix("NOTIFY_")
    assert getattr(conf, short) == getattr(Defaults, short)
    with override_settings(**{name: "other"}):
        assert getattr(conf, short) == "other"
        with override_settings(**{name: "third"}):
            assert getattr(conf, short) == "third"
        assert getattr(conf, short) == "other"
    assert getattr(conf, short) == getattr(Defaults, short)


def test_a_setting_may_be_none(settings):
    """None is a value, and does not mean that the setting is missing."""
    settings.NOTIFY_MAX_CONNECTIONS = None
    assert conf.MAX_CONNECTIONS is None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="NO_SUCH_THING"):
        conf.NO_SUCH_THING  # noqa: B018


def test_the_names_are_those_of_a_settings_module():
    assert "NOTIFY_TRANSPORTS" in names()
    assert all(re.fullmatch(r"NOTIFY_[A-Z_]+", name) for name in names())
    assert len(names()) == len({*names()}) == len(Defaults.__annotations__)


def test_every_default_says_what_it_means():
    """The comment is the documentation of the setting for readers of the module."""
    source = inspect.getsource(module.Defaults)
    for name in Defaults.__annotations__:
        declaration = source.split(f"    {name}:")[1].split("\n    ")[0:3]
        assert "#" in "\n".join(declaration), name


def test_settings_of_others_change_nothing(settings):
    before = conf.MAX_CONNECTIONS
    settings.MAX_CONNECTIONS = before + 1
    assert before == conf.MAX_CONNECTIONS
