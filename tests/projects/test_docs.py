"""The documentation is true: it is complete, its code runs, and its links lead somewhere."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands

import notify
from notify import conf, exceptions, protocol, signals, testing
from notify.inbox import reader as inbox
from notify.templatetags import notify as tags
from tests.kit.servers import PROJECT

DOCS = PROJECT / "docs"
REFERENCE = DOCS / "reference"
CLIENT = PROJECT / "client" / "src"
TEXTS = [
    *(PROJECT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts),
]
FENCE = re.compile(r"^(`{3,}|:{3,})(\{[\w-]+\})? ?(\w*)[^\n]*\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)")


def reference(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text()


def headings(text: str) -> set[str]:
    return set(re.findall(r"^#+ `?(.*?)`?$", text, re.MULTILINE))


def entries(text: str) -> set[str]:
    """What the definition lists of a page define: code at the beginning of a line before a ``:``."""
    lines = re.findall(r"^(`.*`)$(?=\n:)", text, re.MULTILINE)
    return {name for line in lines for name in re.findall(r"`([^`]+)`", line)}


def autodoc(text: str) -> set[str]:
    """What a page takes from docstrings, and what it describes as Python by itself."""
    described = re.findall(r"^(?:\.\. (?:auto\w+|py:\w+)::| {17})\s*([\w.]+)", text, re.MULTILINE)
    return set(described)


def sources(*patterns: str) -> str:
    return "\n".join(path.read_text() for p in patterns for path in sorted(CLIENT.glob(p)))


# -- The reference is complete -------------------------------------------------------------------


def test_every_public_call_has_an_entry():
    """What `notify` exports is described, but for the module that has a page of its own."""
    described = autodoc(reference("api"))
    assert {f"notify.{name}" for name in notify.__all__} - described == {"notify.inbox.reader"}


def test_every_call_of_the_inbox_has_an_entry():
    described = autodoc(reference("inbox"))
    marks = [mark.value for mark in protocol.Mark]
    calls = ["counts", "snapshot", "changes", *(f"mark_{mark}" for mark in marks)]
    assert {f"notify.inbox.reader.{a}{call}" for call in calls for a in ("", "a")} <= described
    assert all(hasattr(notify.inbox.reader, name.rpartition(".")[2]) for name in described)


def test_every_error_has_an_entry():
    errors = [name for name, member in vars(exceptions).items() if inspect.isclass(member)]
    assert {f"notify.exceptions.{name}" for name in errors} <= autodoc(reference("api"))


def test_every_helper_for_tests_has_an_entry():
    helpers = {
        f"notify.testing.{name}"
        for name, member in vars(testing).items()
        if inspect.isfunction(member) and member.__module__ == testing.__name__
        if not name.startswith("_")
    }
    assert helpers == autodoc(reference("testing"))


def test_every_setting_has_a_heading_and_its_default():
    """The default in the text is that of the code."""
    text = reference("settings")
    documented = dict(re.findall(r"^### (NOTIFY_\w+)\n\nDefault: `(.*?)`$", text, re.MULTILINE))
    defaults = {name: getattr(conf.Defaults, name.removeprefix("NOTIFY_")) for name in conf.names()}
    known = {"__builtins__": {}, "timedelta": timedelta}
    assert {name: eval(value, known) for name, value in documented.items()} == defaults


def test_every_bound_has_a_row():
    """What a setting bounds, the page on limits says what happens there."""
    bounds = {name for name in conf.names() if re.search("MAX|COMMAND|THREADS|STALL|PAGE", name)}
    assert len(bounds) >= 11
    rows = re.findall(r"^\| .*", (DOCS / "topics" / "limits.md").read_text(), re.MULTILINE)
    assert bounds <= set(re.findall(r"\bNOTIFY_[A-Z_]+\b", "\n".join(rows)))


def test_every_check_has_a_heading():
    checks = (PROJECT / "notify" / "checks.py").read_text()
    ids = set(re.findall(r'id="(notify\.\w+)"', checks))
    assert ids
    assert headings(reference("checks")) == {"System checks", *ids}


def test_every_signal_has_a_heading():
    names = {name for name, member in vars(signals).items() if isinstance(member, signals.Signal)}
    assert names
    more = {"Signals and logging", "Receivers on the event loop", "Logging"}
    assert headings(reference("signals")) == names | more


def test_every_close_code_has_a_row():
    rows = set(re.findall(r"^\| (\d{4}) \| `(\w+)` \|", reference("protocol"), re.MULTILINE))
    assert rows == {(str(code.value), code.name) for code in protocol.CloseCode}


def test_every_error_code_has_a_row():
    """Those that the server's sources name, wherever they name them."""
    code = "\n".join(path.read_text() for path in (PROJECT / "notify").glob("*.py"))
    named = {"bad_command"}  # the default of ProtocolError
    named.update(re.findall(r'code="(\w+)"', code))
    named.update(re.findall(r'protocol\.error\([^"()]*"(\w+)"', code))
    named.update(refusal.code for refusal in protocol.REFUSALS.values())
    rows = re.findall(r"^\| `(\w+)` \| ", reference("protocol"), re.MULTILINE)
    assert set(rows) == named


def test_every_refusal_over_http_has_a_row():
    """With its status; what ends a connection for its documents is not refused."""
    rows = re.findall(r"^\| ([\d, ]+) \| (`.*?`) \|", reference("protocol"), re.MULTILINE)
    told = {(status, code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    for close_code, refusal in protocol.REFUSALS.items():
        if close_code != protocol.CloseCode.PROTOCOL:
            assert (str(refusal.status), refusal.code) in told


def test_every_document_of_the_wire_is_described():
    text = reference("protocol")
    shapes = re.search(r"const shapes = \{(.*?)\n\};", sources("protocol.js"), re.DOTALL)
    assert shapes
    for kind in re.findall(r"^  (\w+):", shapes[1], re.MULTILINE):
        assert f'"type": "{kind}"' in text, kind


def test_every_member_of_a_notification_is_described():
    example = FENCE.search(reference("protocol").split("## Notifications")[1])
    assert example
    typedef = re.search(
        r"@typedef \{object\} Notification\n(.*?)\n \*\n", sources("protocol.js"), re.DOTALL
    )
    assert typedef
    members = re.findall(r"@property \{.*?\} (\w+)", typedef[1])
    assert set(re.findall(r'"(\w+)":', example[4])) - {"label"} == set(members)


def test_every_command_has_a_heading():
    ours = {name for name, app in get_commands().items() if app == "notify"}
    assert ours
    assert headings(reference("commands")) == {"Management commands", *ours}


def test_every_option_of_a_command_has_an_entry():
    """Under the heading of the command."""
    parts = re.split(r"^## (\w+)$", reference("commands"), flags=re.MULTILINE)[1:]
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        source = (PROJECT / f"notify/management/commands/{name}.py").read_text()
        assert set(re.findall(r'"(--[\w-]+)"', source)) == entries(text), name


def test_every_template_tag_has_a_heading():
    assert set(tags.register.tags) == headings(reference("template-tags")) - {
        "Template tags",
        "Jinja",
    }


def test_every_attribute_of_the_elements_has_an_entry():
    """Those that the template writes, and those that the script reads or shows."""
    root = (PROJECT / "notify/templates/notify/root.html").read_text()
    element = re.search(r"<notify-root id=\S+(.*?)></notify-root>", root)
    assert element
    names = set(re.findall(r' ([a-z-]+)="', re.sub(r"\{%.*?%\}", " ", element[1])))
    code = sources("root.js", "badge.js")
    names.update(re.findall(r'[gs]etAttribute\("([a-z-]+)"', code))
    names.update(re.findall(r"notify-root\[([a-z-]+)~?=", sources("notify.css")))
    standard = {"role", "aria-label"}
    assert names - standard <= entries(reference("elements"))
    assert {"state", "transport", "cursor"} <= entries(reference("elements"))


def test_every_dom_event_has_a_heading():
    """Those of the connection's life have a page of their own."""
    source = sources("root.js")
    told = re.findall(r'#tell\("(\w+)"', source)
    told += re.findall(r'"(\w+)"', source.partition("const TOLD = ")[2].partition(";")[0])
    assert told
    pages = headings(reference("elements")) | headings(reference("events"))
    documented = {name for name in pages if name.startswith("notify:")}
    assert documented == {f"notify:{name}" for name in told}


def test_every_style_token_has_an_entry():
    tokens = set(re.findall(r"--nf-[a-z-]*[a-z]", sources("notify.css")))
    assert tokens == {name for name in entries(reference("elements")) if name.startswith("--nf-")}


def test_every_documented_class_is_styled():
    documented = set(re.findall(r"`(nf-[a-z]+)`", reference("elements")))
    assert documented
    assert documented <= set(re.findall(r"\bnf-[a-z]+\b", sources("**/*.js")))


# -- What is named exists ------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(PROJECT)))
class TestText:
    def test_names_are_known(self, path: Path):
        """Settings, checks, test files and names of notify that a text mentions exist."""
        text = path.read_text()
        settings = set(re.findall(r"\bNOTIFY_[A-Z_]+\b", text))
        assert {name for name in settings if not name.startswith("NOTIFY_TEST_")} <= set(
            conf.names()
        )
        checks = set(re.findall(r"\bnotify\.[EW]\d{3}\b", text))
        assert checks <= headings(reference("checks"))
        for name in re.findall(r"`(?:await )?notify\.(\w+)\(", text):
            assert hasattr(notify, name), name
        for name in re.findall(r"\bnotify\.inbox\.(\w+)", text):
            assert hasattr(inbox, name), name

    def test_links_lead_somewhere(self, path: Path):
        """Sphinx sees to the links within docs/; these are those that a forge follows."""
        for target in LINK.findall(FENCE.sub("", path.read_text())):
            assert (path.parent / target).exists(), target

    def test_python_blocks_parse(self, path: Path):
        for language, code in blocks(path):
            if language == "python":
                ast.parse(code.replace("    # …\n", ""))


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """The language and the code of each block of a text."""
    for _, directive, language, code in FENCE.findall(path.read_text()):
        if directive in ("", "{code-block}"):
            yield language, re.sub(r"\A(:[\w-]+:.*\n)+", "", code)


@pytest.mark.parametrize("name", ["guarantees", "architecture"])
def test_the_files_that_topics_name_exist(name: str):
    """A promise names the tests that keep it."""
    text = (DOCS / "topics" / f"{name}.md").read_text()
    for target in re.findall(r"`((?:tests|client)/[\w./]+)`", text):
        assert (PROJECT / target).exists(), target
    for target in re.findall(r"`(\w+\.py)`", text):
        assert (PROJECT / "notify" / target).exists(), target


def test_every_term_is_in_the_glossary_once():
    glossary = (DOCS / "glossary.md").read_text()
    terms = re.findall(r"^(\w[\w, ]*)\n  \w", glossary, re.MULTILINE)
    assert len(terms) == len(set(terms)) > 30


def test_every_decision_has_its_four_parts():
    for path in sorted((DOCS / "adr").glob("0*.md")):
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]} ")
        parts = {"Context", "Decision", "Consequences", "Turned down"}
        assert headings(text) >= parts, path.name


# -- It builds, and the tutorial runs ------------------------------------------------------------


@pytest.mark.only_if(find_spec("furo") and find_spec("myst_parser"))  # `make docs` has them always
def test_it_builds_without_a_warning(tmp_path: Path):
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", DOCS, tmp_path]
    subprocess.run(build, check=True, env=environment(PYTHONDEVMODE=""))
    send = (tmp_path / "reference" / "api.html").read_text()
    assert "After commit it reaches every open tab" in send


class Project:
    """The project of the tutorial, as a reader has built it up to some point."""

    # Read, not run: they make an environment, or run for ever.
    SKIPPED = ("python -m venv", ". .venv", "pip install", "python manage.py runserver")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = environment(
            DJANGO_SETTINGS_MODULE="mysite.settings",
            DJANGO_SUPERUSER_PASSWORD="demo",
            PYTHONPATH=str(PROJECT),
        )

    def follow(self, text: str) -> None:
        """Do what a part of the tutorial says: write its files, run its commands."""
        for match in FENCE.finditer(text):
            _, _, language, block = match.groups()
            caption = re.match(r":caption: (\S+)( \(at the end\))?\n\n?", block)
            if caption:
                path = self.folder / caption[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                code = block[caption.end() :]
                path.write_text((path.read_text() if caption[2] else "") + code)
            elif language == "console":
                for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
                    self.run(command)

    def run(self, command: str) -> str:
        if command.startswith(self.SKIPPED):
            return ""
        if "createsuperuser" in command:
            command += " --noinput"
        if "db_worker" in command:
            command += " --batch --no-reload --no-startup-delay"
        command = command.replace("django-admin", "python -m django")
        command = command.replace("python", sys.executable, 1)
        env = dict(self.env)
        if "startproject" in command:
            del env["DJANGO_SETTINGS_MODULE"]
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def browse(self, script: str) -> str:
        """Run Python with Django's test client, signed in as alice."""
        beginning = (
            "import django; django.setup()\n"
            "from django.contrib.auth import get_user_model\n"
            "from django.test import Client\n"
            "alice = get_user_model().objects.get(username='alice')\n"
            "tab = Client(headers={'host': 'localhost'}); tab.force_login(alice)\n"
            "def poll(): return tab.get('/notify/changes/').json()\n"
            "def shown(): return [row['message'] for row in poll()['notifications']]\n"
        )
        (self.folder / "browse.py").write_text(beginning + script)
        return self.run("python browse.py")


def environment(**more: str) -> dict[str, str]:
    """Without what belongs to this run of the tests."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFY_TEST")}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    return {**env, **more}


def parts_of_the_tutorial() -> dict[str, str]:
    text = (DOCS / "tutorial.md").read_text()
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    return dict(zip(titles, re.split(r"^## .*$", text, flags=re.MULTILINE)[1:], strict=True))


def test_the_tutorial_runs(tmp_path: Path):
    """The project of the tutorial is built from its blocks, and does what the text says."""
    parts = parts_of_the_tutorial()
    project = Project(tmp_path)
    for title in ("A project", "Install notify", "A toast from a view"):
        project.follow(parts[title])
    assert "no issues" in project.run("python manage.py check --tag notify")
    project.browse(
        "assert shown() == ['Hello from the terminal'], shown()\n"
        "assert tab.post('/exports/').url == '/exports/'\n"
        "page = tab.get('/exports/').content.decode()\n"
        "assert '<notify-root' in page and '<notify-badge count=\"2\">' in page, page\n"
        "assert 'notify-root' not in Client(headers={'host': 'localhost'}).get('/admin/login/')"
        ".content.decode()\n"
        "row = poll()['notifications'][-1]\n"
        "assert (row['message'], row['url'], row['level']) == "
        "('Your export is ready', '/exports/', 'success'), row\n"
    )

    before_the_worker, _, then = parts["A toast from a task"].partition("Start the worker")
    project.follow(before_the_worker)
    project.browse(
        "assert tab.post('/exports/').url == '/exports/'\n"
        "assert shown()[-1] == 'Your export has begun', shown()\n"
    )
    project.follow(then)
    project.browse(
        "assert shown()[-1] == 'Your export of 1200 rows is ready', shown()\n"
        "row = poll()['notifications'][-1]\n"
        "assert (row['key'], row['count'], row['level']) == ('export', 2, 'success'), row\n"
        "assert 'Your export has begun' not in shown()\n"
    )

    project.follow(parts["Test it"])


def test_the_examples_of_tests_run(tmp_path: Path):
    """docs/howto/testing.md tests the project of the tutorial, as far as its view."""
    parts = parts_of_the_tutorial()
    project = Project(tmp_path)
    for title in ("A project", "Install notify", "A toast from a view"):
        project.follow(parts[title])
    case, method, *sockets = (
        code for language, code in blocks(DOCS / "howto" / "testing.md") if language == "python"
    )
    tests = [case, textwrap.indent(method, "    "), *sockets]
    (tmp_path / "exports" / "tests.py").write_text("\n".join(tests))
    assert "Ran 5 tests" in project.run("python manage.py test")


def test_the_readme_installs_what_the_tutorial_does():
    """The few lines of the README are those that the tutorial proves."""
    readme = (PROJECT / "README.md").read_text()
    tutorial = (DOCS / "tutorial.md").read_text()
    for line in (
        'path("notify/", include("notify.urls"))',
        "from notify.asgi import notify_asgi",
        "application = notify_asgi(get_asgi_application())",
        "{% load notify %}",
        "{% notify %}",
        "python manage.py migrate",
    ):
        assert line in readme
        assert line in tutorial


def test_the_readme_is_short():
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 110


def test_no_text_names_a_path_of_a_machine():
    for path in [*TEXTS, DOCS / "conf.py"]:
        assert not re.search(r"(?<![\w.])/(work|tmp|root|home)/", path.read_text()), path


def example(name: str, path: str) -> Any:
    """A block of Python in the documentation that defines `name`."""
    found = [
        code for language, code in blocks(DOCS / path) if language == "python" and name in code
    ]
    assert found, name
    return found[0]


@pytest.mark.django_db
def test_the_example_of_a_receiver_runs(user: Any):
    """docs/reference/signals.md counts what is sent."""
    counted: list[int] = []
    scope: dict[str, Any] = {
        "metrics": type("Metrics", (), {"increment": lambda self, name, by: counted.append(by)})()
    }
    exec(example("def count", "reference/signals.md"), scope)
    try:
        notify.send(user, "Hello")
    finally:
        signals.sent.disconnect(scope["count"])
    assert counted == [1]
