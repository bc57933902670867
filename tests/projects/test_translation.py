"""A translation of notify, made with makemessages and compilemessages, has every text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin import site
from django.utils import translation

import notify
from notify import labels
from notify.models import Mailbox, Notification
from tests.kit import servers
from tests.kit import translation as made_up

PACKAGE = Path(notify.__path__[0])
MARKING = {"_", "gettext", "gettext_lazy", "ngettext"}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    servers.need(servers.find_gettext)
    return made_up.make_catalogue(tmp_path_factory.mktemp("translation"))


@pytest.fixture
def made_up_language(catalogue: Path, settings: Any) -> Iterator[None]:
    settings.LOCALE_PATHS = [catalogue]
    with translation.override(made_up.LANGUAGE):
        yield


def marked_texts() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MARKING:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def test_every_text_in_python_is_found(made_up_language):
    """makemessages finds only literals: a variable or an f-string would stay untranslated without notice."""
    texts = list(marked_texts())
    assert len(texts) > 50
    for place, call in texts:
        text = call.args[0]
        assert isinstance(text, ast.Constant), place
        assert translation.gettext(text.value) != text.value or len(call.args) > 1, place
        if len(call.args) > 1:
            assert "⟦" in translation.ngettext(text.value, ast.literal_eval(call.args[1]), 2), place


def test_every_label_of_the_scripts_is_found(made_up_language):
    words = labels.labels()
    forms = words.pop("forms")
    assert [name for name, text in words.items() if "⟦" not in text] == []
    assert [len(forms), forms[:6]] == [195, "021110"]
    assert words["more"] == "many⟦%(count)s more⟧"
    assert words["more1"] == "few⟦%(count)s more⟧"
    assert words["more2"] == "one⟦%(count)s more⟧"
    assert words["task"] == "one⟦1 tasks running⟧"


def test_every_name_in_the_admin_is_found(made_up_language):
    shown = [apps.get_app_config("notify").verbose_name]
    for model in (Mailbox, Notification):
        shown += [model._meta.verbose_name, model._meta.verbose_name_plural]
        shown += [field.verbose_name for field in model._meta.fields if not field.auto_created]
    level = Notification._meta.get_field("level")
    shown += [name for _, name in level.flatchoices]
    admin = site._registry[Notification]
    shown += [admin.publish.short_description, admin.detail.short_description]  # type: ignore[attr-defined]
    assert [str(name) for name in shown if "⟦" not in str(name)] == []
