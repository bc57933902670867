"""A translation into a made-up language, made with Django's commands as docs/howto/translate.md describes."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import notify

LANGUAGE = "xx"
# Its numbers have three forms, with the rule of Polish.
PLURAL_FORMS = (
    "nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);"
)
FORMS = ("one", "few", "many")
TEXT = r'((?:".*"\n)+)'
ENTRY = re.compile(rf"msgid {TEXT}(?:msgid_plural {TEXT})?msgstr.*\n(?:msgstr.*\n)*")


def compiled(words: dict[str, str], plural_forms: str) -> bytes:
    """Returns a compiled catalogue, without gettext. Plural forms are separated by NUL."""
    header = f"Content-Type: text/plain; charset=UTF-8\nPlural-Forms: {plural_forms}\n"
    pairs = sorted((key.encode(), value.encode()) for key, value in {"": header, **words}.items())
    texts, tables, size = b"", [], 28 + 16 * len(pairs)
    for column in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<II", len(pair[column]), size + len(texts)))
            texts += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + b"".join(tables) + texts


def make_catalogue(folder: Path) -> Path:
    """
    Translate all strings of notify, and compile them.

    Each text stands in brackets, as ⟦Dismiss⟧. That of a number begins with its form: few⟦2 more⟧.

    Returns a folder for LOCALE_PATHS.
    """
    sources = folder / "notify"
    locale = copy_sources(sources)
    shutil.rmtree(locale)
    locale.mkdir()
    django_admin(sources, "makemessages", "--locale", LANGUAGE)
    messages = locale / LANGUAGE / "LC_MESSAGES" / "django.po"
    messages.write_text(translated(messages.read_text("utf-8")), "utf-8")
    django_admin(sources, "compilemessages")
    return locale


def copy_sources(folder: Path) -> Path:
    """Copy the package into a new folder. Returns the folder of its translations."""
    ignored = shutil.ignore_patterns("__pycache__", "*.mo")
    shutil.copytree(notify.__path__[0], folder, ignore=ignored)
    return folder / "locale"


def translated(messages: str) -> str:
    """Returns the contents of a .po file with a translation of each text."""
    unknown = "nplurals=INTEGER; plural=EXPRESSION;"
    assert unknown in messages
    return ENTRY.sub(_translate, messages.replace(unknown, PLURAL_FORMS))


def _translate(entry: re.Match[str]) -> str:
    text, plural = entry.groups()
    if text == '""\n':  # the header
        return entry[0]
    if plural is None:
        return f"msgid {text}msgstr {_bracketed(text)}"
    forms = (f"msgstr[{number}] {_bracketed(plural, form)}" for number, form in enumerate(FORMS))
    return f"msgid {text}msgid_plural {plural}{''.join(forms)}"


def _bracketed(text: str, form: str = "") -> str:
    """Returns a quoted text, which may go over several lines, in brackets."""
    return f'"{form}⟦{text[1:-2]}⟧"\n'


def django_admin(folder: Path, *arguments: str) -> None:
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    # Not python -m django, which would import the modules of the folder in place of others.
    command = [str(Path(sys.executable).with_name("django-admin")), *arguments]
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
