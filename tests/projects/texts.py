"""Follows the texts that a new user reads: writes their code blocks to files, and runs their commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.kit.servers import PROJECT

DOCS = PROJECT / "docs"
FENCE = re.compile(r"^(`{3,}|:{3,})(\{[\w-]+\})? ?(\w*)[^\n]*\n(.*?)^\1$", re.DOTALL | re.MULTILINE)


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """The language and the code of each block of a text."""
    for _, directive, language, code in FENCE.findall(path.read_text()):
        if directive in ("", "{code-block}"):
            yield language, re.sub(r"\A(:[\w-]+:.*\n)+", "", code)


class Project:
    """
    A project in the state that a reader of a text has reached.

    Its Python is that of the tests, with notify from the checkout. If it is in an environment of its
    own, the text's ``pip install`` fills that environment.
    """

    # Not run: they create an environment, or run forever.
    SKIPPED = ("python -m venv", ". .venv", "python manage.py runserver")

    def __init__(self, folder: Path, python: Path | None = None) -> None:
        self.folder = folder
        self.python = python or Path(sys.executable)
        self.installs = python is not None
        self.env = environment(
            DJANGO_SETTINGS_MODULE="mysite.settings", DJANGO_SUPERUSER_PASSWORD="demo"
        )
        if not self.installs:
            self.env["PYTHONPATH"] = str(PROJECT)

    def follow(self, text: str) -> None:
        """Follow a part of a text: write its files, and run its commands."""
        for match in FENCE.finditer(text):
            _, _, language, block = match.groups()
            caption = re.match(r":caption: (\S+)( \(at the end\))?\n\n?", block)
            if caption:
                self.write(caption[1], block[caption.end() :], is_appended=bool(caption[2]))
            elif language == "python":
                _, *files = re.split(r"^# (\S+), at the end\n", block, flags=re.MULTILINE)
                for name, code in zip(files[::2], files[1::2], strict=True):
                    self.write(name, code, is_appended=True)
            elif language == "console":
                for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
                    self.run(command)

    def write(self, name: str, code: str, *, is_appended: bool = False) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if is_appended else "") + code)

    def run(self, command: str) -> str:
        if command.startswith(self.SKIPPED):
            return ""
        if command.startswith("pip install"):
            if not self.installs:
                return ""
            command = f"python -m {command}"
        if "createsuperuser" in command:
            command += " --noinput"
        if "db_worker" in command:
            command += " --batch --no-reload --no-startup-delay"
        command = command.replace("django-admin", "python -m django")
        command = command.replace("python", shlex.quote(str(self.python)), 1)
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
    """The environment without the variables of this test run."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFY_TEST")}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    return {**env, **more}


def parts_of_the_tutorial() -> dict[str, str]:
    text = (DOCS / "tutorial.md").read_text()
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    return dict(zip(titles, re.split(r"^## .*$", text, flags=re.MULTILINE)[1:], strict=True))


def follow_the_tutorial(project: Project) -> None:
    """Build the project of the tutorial from its code blocks, and check what the text promises."""
    parts = parts_of_the_tutorial()
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
        "assert (row['key'], row['count'], row['level']) == ('export', 1, 'success'), row\n"
        "assert 'Your export has begun' not in shown()\n"
    )

    project.follow(parts["Test it"])


def follow_the_quickstart(project: Project) -> None:
    """Install notify in a project that has a base template, as the README says, and send."""
    quickstart = (PROJECT / "README.md").read_text().split("## Quickstart")[1].split("\nShow")[0]
    before, tags, after = re.split(r"```html\n(.*?)```", quickstart, flags=re.DOTALL)
    installing, files = re.split(r"(?=```python)", before)
    project.follow(installing)
    project.run("django-admin startproject mysite .")
    project.run("python manage.py startapp site_pages")
    project.write("mysite/settings.py", 'INSTALLED_APPS += ["site_pages"]\n', is_appended=True)
    project.follow(files)
    base = f"<!doctype html><html><body>{tags}</body></html>"
    project.write("site_pages/templates/base.html", base)
    project.follow(after)
    assert "no issues" in project.run("python manage.py check")

    sending = re.findall(r"```python\n(.*?)```", after, re.DOTALL)[0]
    project.write("sending.py", f"def send(user, export):\n{textwrap.indent(sending, '    ')}")
    project.run("python manage.py createsuperuser --username alice --email alice@example.com")
    project.browse(
        "from django.template.loader import render_to_string\n"
        "from django.test import RequestFactory\n"
        "from mysite.asgi import application\n"
        "from notify.asgi import NotifyASGI\n"
        "from sending import send\n"
        "class Export:\n"
        "    def get_absolute_url(self): return '/exports/7/'\n"
        "assert isinstance(application, NotifyASGI)\n"
        "send(alice, Export())\n"
        "[row] = poll()['notifications']\n"
        "assert (row['message'], row['url'], row['level']) == "
        "('Your export is ready', '/exports/7/', 'success'), row\n"
        "request = RequestFactory().get('/'); request.user, request.session = alice, tab.session\n"
        "page = render_to_string('base.html', request=request)\n"
        "assert '<notify-root' in page, page\n"
    )
