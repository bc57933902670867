"""The texts of the interface: the forms that numbers take, in English and in other languages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation
from django.utils.autoreload import file_changed

from notify import labels
from notify.protocol import Level
from tests.kit.translation import PLURAL_FORMS, compiled

CLIENT = Path(__file__).parents[2] / "client/src"
MORE = "%(count)s more\0%(count)s more"
TASKS = "%(count)s task running\0%(count)s tasks running"


def script_labels() -> dict[str, str]:
    """The texts of the two scripts, which apply where the server sends none."""
    words: dict[str, str] = {}
    for room in ("platform", "news", "progress", "actions"):
        source = (CLIENT / room / "labels.js").read_text()
        block = re.search(r"DEFAULTS = \{(.*?)\};", source, re.DOTALL)
        assert block
        words |= re.findall(r'^\s*(\w+): "(.*)",$', block[1], re.MULTILINE)
    return words


def test_the_words_are_those_that_the_script_knows():
    """In English, they are equal. The levels are an exception: without labels, the page shows their names."""
    assert "notifications" in script_labels()
    others = {*(level.value for level in Level), "forms", "times1", "tasks1", "news1"}
    with translation.override("en"):
        words = labels.labels()
    assert {key: word for key, word in words.items() if key not in others} == script_labels()
    assert others < set(words)


def test_in_english_only_one_is_special():
    with translation.override("en"):
        words = labels.labels()
    assert (words["forms"], words["tasks"], words["tasks1"]) == (
        "01",
        "%(count)s tasks running",
        "%(count)s task running",
    )
    assert words["task"] == "1 task running"
    assert "more1" not in words  # it is the same for every number


@pytest.fixture
def speak(settings: Any, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Returns a function that translates the site, and returns its labels."""

    def speak(words: dict[str, str], plural_forms: str) -> dict[str, str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (folder / "xx/LC_MESSAGES").mkdir(parents=True)
        (folder / "xx/LC_MESSAGES/django.mo").write_bytes(compiled(words, plural_forms))
        settings.LOCALE_PATHS = [folder]
        with translation.override("xx"):
            return labels.labels()

    return speak


def text_of(words: dict[str, str], name: str, count: int) -> str:
    """As the script reads them: client/src/platform/labels.js."""
    forms = words["forms"]
    number = count if count < 200 else 100 + count % 100
    form = forms[number] if number < len(forms) else ""
    return words.get(f"{name}{form}", words[name]) % {"count": count}


def test_each_number_takes_its_form(speak):
    """With three forms, as in Polish."""
    words = speak({MORE: "one %(count)s\0few %(count)s\0many %(count)s"}, PLURAL_FORMS)
    taken = {
        form: [n for n in range(1100) if text_of(words, "more", n).startswith(form)]
        for form in ("one", "few", "many")
    }
    assert taken["one"] == [1]
    assert taken["few"] == [n for n in range(1100) if n % 10 in {2, 3, 4} and n // 10 % 10 != 1]
    assert sum(map(len, taken.values())) == 1100


def test_a_language_without_plurals_has_one_form(speak):
    words = speak({MORE: "moar", TASKS: "%(count)s tasken"}, "nplurals=1; plural=0;")
    assert {words["more"], words["tasks"]} == {"moar", "%(count)s tasken"}
    assert words["task"] == "1 tasken"
    assert {text_of(words, "tasks", count) for count in range(300)} == {
        f"{count} tasken" for count in range(300)
    }


def test_a_text_that_is_not_translated_keeps_the_rule_of_english(speak):
    """Each text has a rule of its own: that of its language."""
    words = speak({MORE: "one\0few\0many"}, "nplurals=3; plural=(n%10==1 ? 0 : n%10==2 ? 1 : 2);")
    assert [text_of(words, "more", count) for count in (1, 2, 5, 21, 22)] == [
        "one",
        "few",
        "many",
        "one",
        "few",
    ]
    assert [text_of(words, "tasks", count) for count in (0, 1, 2, 21)] == [
        "0 tasks running",
        "1 task running",
        "2 tasks running",
        "21 tasks running",
    ]


def test_the_forms_are_asked_for_once(speak, monkeypatch):
    """Until a catalogue or the settings change: they take 800 translations."""
    speak({MORE: "moar"}, "nplurals=1; plural=0;")
    asked: list[int] = []
    ngettext = labels.ngettext
    monkeypatch.setattr(
        labels,
        "ngettext",
        lambda one, many, count: asked.append(count) or ngettext(one, many, count),
    )
    with translation.override("xx"):
        labels.labels()
        assert len(asked) < 40
        file_changed.send(sender=None, file_path=Path("django.mo"))
        labels.labels()
    assert len(asked) > 800


def test_a_number_takes_the_form_that_the_page_shows_too():
    with translation.override("en"):
        assert labels.counted(1)["times"] == "%(count)s time"
        assert labels.counted(2)["times"] == "%(count)s times"


def test_the_panel_has_a_text_for_each_name_that_its_script_uses():
    """It has no texts of its own, so a name that is missing here would be "undefined" on the screen."""
    declared = (CLIENT / "inbox" / "labels.js").read_text()
    names = set(re.findall(r'"(\w+)"', declared.split("@typedef")[1]))
    with translation.override("en"):
        words = labels.panel_labels()
    assert names | {"forms", "count", "like"} == set(words)
    assert (words["forms"], words["like"]) == ("", "%(count)s more like this")
    used = {
        name
        for source in (CLIENT / "inbox").glob("*.js")
        for name in re.findall(r"\bown\.(\w+)", source.read_text())
    }
    assert used < names


def test_numbers_in_the_panel_take_their_forms(speak):
    """By the forms of its own texts, which need not be those of the root."""
    speak({"%(count)s unread\0%(count)s unread": "jeden\0vele"}, "nplurals=2; plural=n!=1;")
    with translation.override("xx"):
        words = labels.panel_labels()
    assert (words["count"], words["count1"], words["forms"]) == ("vele", "jeden", "01")
