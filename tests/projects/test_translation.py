"""A translation of notify, made with makemessages and compilemessages, has every text."""

from __future__ import annotations

import ast
import gettext
import subprocess
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
LANGUAGES = ["ar", "de", "es", "fr", "he", "ja", "pt_BR", "zh_Hans"]
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


# -- The translations that notify comes with -----------------------------------------------------


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the translations, into which the texts of the sources are collected again."""
    servers.need(servers.find_gettext)
    sources = tmp_path_factory.mktemp("translations") / "notify"
    locale = made_up.copy_sources(sources)
    made_up.django_admin(
        sources, "makemessages", "--all", "--add-location", "file", "--no-obsolete"
    )
    made_up.django_admin(sources, "compilemessages")
    return locale


def catalogue_in(folder: Path, language: str, suffix: str) -> Path:
    return folder / language / "LC_MESSAGES" / f"django.{suffix}"


def texts_of(catalogue: Path, *kind: str) -> list[str]:
    """Returns the texts of one kind, such as those without a translation."""
    program = servers.find_program("msgattrib", package="gettext")
    found = subprocess.run([program, *kind, catalogue], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if "msgid" in line][1:]


def test_notify_comes_with_these_languages():
    assert sorted(folder.name for folder in (PACKAGE / "locale").iterdir()) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(collected: Path, language: str):
    """A text that was changed or added needs a translation in each language: make messages."""
    catalogue = catalogue_in(collected, language, "po")
    assert texts_of(catalogue, "--untranslated", "--no-obsolete") == []
    assert texts_of(catalogue, "--only-fuzzy", "--no-obsolete") == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_translation_has_the_placeholders_and_the_plural_forms(
    collected: Path, language: str
):
    program = servers.find_program("msgfmt", package="gettext")
    catalogue = catalogue_in(collected, language, "po")
    check = subprocess.run([program, "--check", "-o", "-", catalogue], capture_output=True)
    assert check.returncode == 0, check.stderr.decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_is_up_to_date(collected: Path, language: str):
    def compiled(folder: Path) -> dict[object, str]:
        with open(catalogue_in(folder, language, "mo"), "rb") as file:
            texts: dict[object, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        return {text: translated for text, translated in texts.items() if text != ""}

    assert compiled(PACKAGE / "locale") == compiled(collected), "Run: make messages"
