"""The documentation is complete, its code runs, and its links work."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command, get_commands
from django.db.models.signals import post_save
from django.test import TestCase

import notify
from notify import conf, exceptions, inbox, protocol, signals, testing
from notify.models import Mailbox, Notification
from notify.templatetags import notify as tags
from notify.transports import http
from tests.kit.deeds import handled
from tests.kit.servers import PROJECT
from tests.projects.texts import (
    DOCS,
    FENCE,
    Project,
    blocks,
    environment,
    follow_the_quickstart,
    follow_the_tutorial,
    parts_of_the_tutorial,
)

REFERENCE = DOCS / "reference"
CLIENT = PROJECT / "client" / "src"
TEXTS = [
    *(PROJECT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts),
]
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)")


def reference(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text()


def headings(text: str) -> set[str]:
    return set(re.findall(r"^#+ `?(.*?)`?$", text, re.MULTILINE))


def entries(text: str) -> set[str]:
    """The terms in the definition lists of a page: code at the beginning of a line before a ``:``."""
    lines = re.findall(r"^(`.*`)$(?=\n:)", text, re.MULTILINE)
    return {name for line in lines for name in re.findall(r"`([^`]+)`", line)}


def autodoc(text: str) -> set[str]:
    """The names that a page documents from docstrings, and those that it describes as Python itself."""
    described = re.findall(r"^(?:\.\. (?:auto\w+|py:\w+)::| {17})\s*([\w.]+)", text, re.MULTILINE)
    return set(described)


def sources(*patterns: str) -> str:
    return "\n".join(path.read_text() for p in patterns for path in sorted(CLIENT.rglob(p)))


# -- The reference is complete -------------------------------------------------------------------


def test_every_public_call_has_an_entry():
    """Each name that `notify` exports is described, except for the module that has its own page."""
    described = autodoc(reference("api"))
    assert {f"notify.{name}" for name in notify.__all__} - described == {"notify.inbox"}


def test_every_call_of_the_inbox_has_an_entry():
    described = autodoc(reference("inbox"))
    marks = [mark.value for mark in protocol.Mark]
    calls = ["counts", "snapshot", "changes", *(f"mark_{mark}" for mark in marks)]
    assert {f"notify.inbox.{a}{call}" for call in calls for a in ("", "a")} <= described
    assert all(hasattr(notify.inbox, name.rpartition(".")[2]) for name in described)


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
    """The default in the text equals the default in the code."""
    text = reference("settings")
    documented = dict(re.findall(r"^### (NOTIFY_\w+)\n\nDefault: `(.*?)`$", text, re.MULTILINE))
    defaults = {name: getattr(conf.Defaults, name.removeprefix("NOTIFY_")) for name in conf.names()}
    known = {"__builtins__": {}, "timedelta": timedelta}
    assert {name: eval(value, known) for name, value in documented.items()} == defaults


def test_every_bound_has_a_row():
    """For each bound by a setting, the page on limits describes what happens there."""
    bounds = {name for name in conf.names() if re.search("MAX|THREADS|PAGE", name)}
    assert len(bounds) >= 3
    rows = re.findall(r"^\| .*", (DOCS / "topics" / "limits.md").read_text(), re.MULTILINE)
    assert bounds <= set(re.findall(r"\bNOTIFY_[A-Z_]+\b", "\n".join(rows)))


def test_every_check_has_a_heading():
    files = ("notify/checks.py", "notify/actions/checks.py")
    checks = "".join((PROJECT / file).read_text() for file in files)
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
    """The rows include all codes that the server's sources name."""
    code = "\n".join(path.read_text() for path in (PROJECT / "notify").rglob("*.py"))
    named = {"bad_command"}  # the default of ProtocolError
    named.update(re.findall(r'code="(\w+)"', code))
    named.update(re.findall(r'protocol\.error\([^"()]*"(\w+)"', code))
    named.update(refusal.code for refusal in http.REFUSALS.values())
    rows = re.findall(r"^\| `(\w+)` \| ", reference("protocol"), re.MULTILINE)
    assert set(rows) == named


def test_every_refusal_over_http_has_a_row():
    """The row contains its status. Codes that close a connection for its documents are not refusals."""
    rows = re.findall(r"^\| ([\d, ]+) \| (`.*?`) \|", reference("protocol"), re.MULTILINE)
    told = {(status, code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    for close_code, refusal in http.REFUSALS.items():
        if close_code != protocol.CloseCode.PROTOCOL:
            assert (str(refusal.status), refusal.code) in told


def test_every_document_of_the_wire_is_described():
    text = reference("protocol")
    shapes = re.search(r"const shapes = \{(.*?)\n\};", sources("protocol.js"), re.DOTALL)
    assert shapes
    for kind in re.findall(r"^  ([a-z]\w*):", shapes[1], re.MULTILINE):
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
    """The entry is under the heading of the command."""
    parts = re.split(r"^## (\w+)$", reference("commands"), flags=re.MULTILINE)[1:]
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        source = (PROJECT / f"notify/management/commands/{name}.py").read_text()
        assert set(re.findall(r'"(--[\w-]+)"', source)) == entries(text), name


def test_every_template_tag_has_a_heading():
    assert set(tags.register.tags) == headings(reference("template-tags")) - {
        "Template tags",
        "In the admin",
        "Jinja",
    }


def test_every_attribute_of_the_elements_has_an_entry():
    """These are the attributes that the template writes, and those that the script reads or shows."""
    root = (PROJECT / "notify/templates/notify/root.html").read_text()
    element = re.search(r"<notify-root id=\S+(.*?)></notify-root>", root)
    assert element
    names = set(re.findall(r' ([a-z-]+)="', re.sub(r"\{%.*?%\}", " ", element[1])))
    code = sources("root.js", "badge.js", "news.js", "summary.js", "outside.js")
    names.update(re.findall(r'(?:[gsh][ea][ts]Attribute|#read)\("([a-z-]+)"', code))
    names.update(re.findall(r"notify-root\[([a-z-]+)~?=", sources("notify.css")))
    standard = {"role", "aria-label", "data-id"}
    assert names - standard <= entries(reference("elements"))
    assert {"state", "transport", "cursor"} <= entries(reference("elements"))


def test_every_dom_event_has_a_heading():
    """The events of the connection are on a page of their own."""
    source = sources("root.js")
    told = re.findall(r'#dispatch\("(\w+)"', source)
    told += re.findall(r'"(\w+)"', source.partition("const FORWARDED = ")[2].partition(";")[0])
    own = re.findall(r'(?:listen\(document, |CustomEvent\()"notify:([\w-]+)"', sources("news.js"))
    assert told
    assert own
    told += own
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


# -- Named things exist --------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(PROJECT)))
class TestText:
    def test_names_are_known(self, path: Path):
        """The settings, checks, test files and names of notify that a text mentions exist."""
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
        """Sphinx checks links within docs/. These are the links that only work on a forge."""
        for target in LINK.findall(FENCE.sub("", path.read_text())):
            assert (path.parent / target).exists(), target

    def test_python_blocks_parse(self, path: Path):
        for language, code in blocks(path):
            if language == "python":
                ast.parse(code.replace("    # …\n", ""))


@pytest.mark.parametrize("name", ["guarantees", "architecture"])
def test_the_files_that_topics_name_exist(name: str):
    """A promise names the tests that verify it."""
    text = (DOCS / "topics" / f"{name}.md").read_text()
    for target in re.findall(r"`((?:tests|client)/[\w./]+)`", text):
        assert (PROJECT / target).exists(), target
    for target in re.findall(r"`(?!tests/)([\w/]+\.py)`", text):
        assert (PROJECT / "notify" / target).exists(), target


def test_the_picture_of_the_packages_is_current():
    command = [sys.executable, str(PROJECT / "tools" / "packages.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_term_is_in_the_glossary_once():
    glossary = (DOCS / "glossary.md").read_text()
    terms = re.findall(r"^(\w[\w, ]*)\n  \w", glossary, re.MULTILINE)
    assert len(terms) == len(set(terms)) > 30


def names_of_the_packages() -> Iterator[tuple[str, str]]:
    """The modules and public classes of the packages, as the glossary writes them, and their modules."""
    for path in sorted((PROJECT / "notify").glob("*/*.py")):
        package, name = path.parent.name, path.stem
        if package in {"contrib", "management", "migrations", "templatetags"} or name == "__init__":
            continue
        yield f"{package}/{path.name}", f"{package}/{path.name}"
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, f"{package}/{path.name}"


def test_the_names_of_the_packages_are_in_the_glossary():
    """A class or module whose term is not in the glossary has the wrong name, or lacks an entry."""
    named = set(re.findall(r"`([\w./]+)`", (DOCS / "glossary.md").read_text()))
    assert {
        f"{name} ({where})" for name, where in names_of_the_packages() if name not in named
    } == set()
    for name in named:
        if name.endswith(".py"):
            assert (PROJECT / "notify" / name).is_file(), name


def test_every_decision_has_its_four_parts():
    for path in sorted((DOCS / "adr").glob("0*.md")):
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]} ")
        parts = {"Context", "Decision", "Consequences", "Turned down"}
        assert headings(text) >= parts, path.name


# -- It builds, and the tutorial runs ------------------------------------------------------------


@pytest.mark.only_if(find_spec("furo") and find_spec("myst_parser"))  # `make docs` always has them
def test_it_builds_without_a_warning(tmp_path: Path):
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", DOCS, tmp_path]
    subprocess.run(build, check=True, env=environment(PYTHONDEVMODE=""))
    send = (tmp_path / "reference" / "api.html").read_text()
    assert "After the commit, it reaches every open" in send


def test_the_tutorial_runs(tmp_path: Path):
    """The project of the tutorial is built from its code blocks, and behaves as the text says."""
    follow_the_tutorial(Project(tmp_path))


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
    assert "Ran 6 tests" in project.run("python manage.py test")


def test_the_quickstart_runs(tmp_path: Path):
    """In a project with a base template, the lines of the README are enough, and no check warns."""
    follow_the_quickstart(Project(tmp_path))


def test_the_readme_is_short():
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 110


def test_no_text_names_a_path_of_a_machine():
    for path in [*TEXTS, DOCS / "conf.py"]:
        assert not re.search(r"(?<![\w.])/(work|tmp|root|home)/", path.read_text()), path


def example(name: str, path: str) -> Any:
    """The Python code block of the documentation that defines `name`."""
    found = [
        code for language, code in blocks(DOCS / path) if language == "python" and name in code
    ]
    assert found, name
    return found[0]


@pytest.mark.django_db
def test_what_the_pages_say_of_other_packages_is_so(user: Any):
    """A small site that used django-notifications-hq, whose words are those of docs/howto/migrate.md."""
    text = (DOCS / "howto" / "migrate.md").read_text()
    rows = re.findall(r"^\| `(\w[^`]*)` \| `([^`]*)` \|$", text, re.MULTILINE)
    ours = {theirs: compile(code, theirs, "eval") for theirs, code in rows}

    def call(theirs: str, **names: Any) -> Any:
        return eval(ours[theirs], {"notify": notify, "user": user, **names})

    def unread() -> list[str]:
        messages = [row.message for row in call("user.notifications.unread()")]
        assert call("user.notifications.unread().count()") == len(messages)
        return messages

    sent = [notify.send(user, f"News {number}") for number in range(103)]
    newest_first = [row.message for row in reversed(sent)]
    assert unread() == newest_first
    notify.inbox.mark_seen(user)  # as the toasts do that were on the screen,
    notify.inbox.mark_dismissed(user)  # and were closed
    assert unread() == newest_first
    call("notification.mark_as_read()", notification=sent[-1])
    assert unread() == newest_first[1:]
    call("notification.mark_as_unread()", notification=sent[-1])
    assert unread() == newest_first
    call("notification.mark_as_read()", notification=sent[-1])
    call("notification.delete()", notification=sent[0])
    assert unread() == newest_first[1:-1]
    call("user.notifications.mark_all_as_read()")
    assert unread() == []
    notify.send(user, "Late")
    assert unread() == ["Late"]


class Order(SimpleNamespace):
    """The model of docs/howto/actions.md, without a table."""

    def get_absolute_url(self) -> str:
        return f"/orders/{self.pk}/"

    def save(self) -> None:
        self.is_saved = True


@pytest.mark.django_db
def test_the_example_of_an_action_runs(user: Any, monkeypatch: pytest.MonkeyPatch):
    """docs/howto/actions.md has a handler, the send that offers it, and a test of both."""
    code = [
        block for language, block in blocks(DOCS / "howto" / "actions.md") if language == "python"
    ]
    handler, send, _, test = code
    order = Order(pk=7, customer=user, is_shipped=False, is_cancelled=True)
    objects = Mock()
    objects.select_for_update.return_value.get.side_effect = lambda pk, customer: {
        (7, user): order
    }[pk, customer]
    models = ModuleType("orders.models")
    models.Order = SimpleNamespace(objects=objects)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "orders", ModuleType("orders"))
    monkeypatch.setitem(sys.modules, "orders.models", models)
    space: dict[str, Any] = {
        "notify": notify,
        "order": order,
        "timedelta": timedelta,
        "TestCase": TestCase,
    }

    def cancelled_order() -> Order:
        exec(send, space)
        return order

    space["cancelled_order"] = cancelled_order
    with handled(print, "unused"):  # which takes the handler of the page away again
        exec(handler, {"__package__": "orders", "__name__": "orders.notifications"})
        exec(test, space)
        space["UndoTests"]("test_undo").test_undo()
        assert (order.is_cancelled, order.is_saved) == (False, True)
        order.is_shipped = True
        cancelled_order()
        row = testing.assert_notified(user, "was cancelled")
        with pytest.raises(ValidationError, match="Order 7 has been shipped"):
            testing.act(user, row, "Undo")


@pytest.mark.django_db
def test_the_admin_shows_toasts_as_its_page_says(tmp_path: Path, settings: Any, admin_client: Any):
    """docs/reference/template-tags.md overrides the admin's base template."""
    [template] = (
        code
        for language, code in blocks(REFERENCE / "template-tags.md")
        if language == "html" and "admin/base_site.html" in code
    )
    (tmp_path / "admin").mkdir()
    (tmp_path / "admin" / "base_site.html").write_text(template)
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [tmp_path]}]
    page = admin_client.get("/admin/").content.decode()
    assert page.index("<notify-root") < page.index("</body>")


@pytest.mark.django_db
def test_only_the_signal_of_notify_is_sent_for_every_notification(user: Any, make_user: Any):
    """docs/reference/signals.md warns of `post_save`."""
    saved, sent = [], []

    def hear_saved(sender: Any, **kwargs: Any) -> None:
        saved.append(kwargs["instance"])

    def hear_sent(sender: Any, notifications: Any, **kwargs: Any) -> None:
        sent.extend(notifications)

    post_save.connect(hear_saved, sender=Notification)
    signals.sent.connect(hear_sent)
    try:
        notify.send_many([user, make_user("bob")], "Hello")
    finally:
        post_save.disconnect(hear_saved, sender=Notification)
        signals.sent.disconnect(hear_sent)
    assert (len(saved), len(sent)) == (0, 2)


@pytest.mark.django_db
def test_a_dump_with_natural_keys_needs_no_mailboxes(tmp_path: Path, make_user: Any):
    """The command of docs/howto/retention.md: users get other keys, and mailboxes of their own."""
    text = (DOCS / "howto" / "retention.md").read_text()
    command = re.search(r"manage.py (dumpdata .*)", text)
    assert command
    alice = make_user("alice")
    first, _ = notify.send(alice, "One"), notify.send(alice, "Two")
    notify.inbox.mark_read(alice, [first])
    name, *options = command[1].split()
    dump = tmp_path / "dump.json"
    call_command(name, "auth.user", "notify", *options, output=str(dump))
    old = alice.pk
    Notification.objects.all().delete()
    Mailbox.objects.all().delete()
    alice.delete()
    make_user("bob")
    make_user("carol")
    call_command("loaddata", str(dump), verbosity=0)
    alice = type(alice).objects.get(username="alice")
    assert alice.pk != old
    assert [row.message for row in notify.inbox.changes(alice).notifications] == ["One", "Two"]
    assert notify.inbox.counts(alice) == (1, 1)


def test_the_example_of_a_client_that_knows_no_codes_runs():
    scope: dict[str, Any] = {}
    exec(example("def pause_after", "reference/protocol.md"), scope)
    pause_after = scope["pause_after"]
    for code in protocol.CloseCode:
        assert (pause_after(code, 1) is None) == (code >= 4500)
    assert pause_after(4799, 1) is None
    for tries, ceiling in [(1, 2), (2, 2), (3, 4), (9, 20)]:
        assert 0.5 <= pause_after(1006, tries) <= ceiling


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
