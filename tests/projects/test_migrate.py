"""docs/howto/migrate.md, in a project that has used the real django-notifications-community."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.projects.texts import DOCS, Project, blocks

SETTINGS = """
SECRET_KEY = "secret"
USE_TZ = True
ROOT_URLCONF = "mysite.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "notifications",
    "notify",
]
"""

URLS = """
from django.urls import include, path

urlpatterns = [path("notify/", include("notify.urls"))]
"""

BEFORE = """
import django; django.setup()
from django.contrib.auth.models import Group, User
from notifications.signals import notify
alice, bob = (User.objects.create(username=name) for name in ("alice", "bob"))
staff = Group.objects.create(name="staff")
notify.send(bob, recipient=alice, verb="joined", target=staff)
notify.send(bob, recipient=alice, verb="wrote", description="See you at noon", level="success")
notify.send(alice, recipient=User.objects.all(), verb="left", action_object=bob, target=staff)
alice.notifications.filter(verb="joined").mark_all_as_read()
"""

AFTER = """
import django; django.setup()
from django.contrib.auth.models import User
import notify
alice, bob = User.objects.order_by("pk")
shown = [
    (row.title, row.message, row.level, row.read_at is None)
    for row in notify.inbox.page(alice).notifications
]
assert shown == [
    ("", "alice left bob on staff", "info", True),
    ("bob wrote", "See you at noon", "success", True),
    ("", "bob joined staff", "info", False),
], shown
assert notify.inbox.counts(alice) == (2, 2)
assert notify.inbox.counts(bob) == (1, 1)
"""


PACKAGE = find_spec("notifications")  # the extra `bench` installs it


@pytest.mark.only_if(PACKAGE)
def test_its_notifications_are_copied(tmp_path: Path):
    (tmp_path / "mysite").mkdir()
    project = Project(tmp_path)
    assert PACKAGE
    assert PACKAGE.origin
    project.env["PYTHONPATH"] += f"{os.pathsep}{Path(PACKAGE.origin).parent.parent}"
    project.write("mysite/settings.py", SETTINGS)
    project.write("mysite/urls.py", URLS)
    project.write("before.py", BEFORE)
    project.write("after.py", AFTER)
    project.write(
        "manage.py",
        "import sys\nfrom django.core.management import execute_from_command_line\n"
        "execute_from_command_line(sys.argv)\n",
    )
    project.run("python manage.py migrate")
    project.run("python before.py")
    [commands] = [
        code
        for language, code in blocks(DOCS / "howto" / "migrate.md")
        if language == "console" and "notify_import" in code
    ]
    first, second = (line[2:] for line in commands.splitlines() if line.startswith("$ "))
    assert "would be copied: 4, of 2 users" in project.run(first)
    assert "Notifications copied: 4, of 2 users" in project.run(second)
    project.run("python after.py")
    assert "Notifications copied: 0, of 0 users (already copied: 4," in project.run(second)
    assert "consistent" in project.run("python manage.py notify_check")
