"""The distribution as users get it: installed in an empty environment, outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.servers import PROJECT
from tests.projects.texts import Project, follow_the_quickstart, follow_the_tutorial

pytestmark = pytest.mark.wheel

SETTINGS = """
SECRET_KEY = "not a secret"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
    "notify",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
ROOT_URLCONF = "urls"
STATIC_ROOT = "static"
STATIC_URL = "/static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    },
}
"""
URLS = """
from django.urls import include, path
urlpatterns = [path("notify/", include("notify.urls"))]
"""
SEND = """
import os, django
django.setup()
import notify
from django.contrib.auth.models import User
assert "site-packages" in notify.__file__, notify.__file__
notify.send(User.objects.create_user("alice"), "It works")
print(notify.__version__)
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist. The wheel is built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "-o", str(folder), str(PROJECT)], check=True)
    return folder


@pytest.fixture
def wheel(distributions: Path) -> Path:
    return next(distributions.glob("*.whl"))


def test_the_wheel_holds_the_app_and_nothing_else(wheel):
    """All files beside the Python code are included, but not the tests, the demo and the client's sources."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"notify"}
    suffixes = {".css", ".html", ".js", ".map", ".mo", ".typed"}
    packaged = {name for name in names if Path(name).suffix in suffixes}
    sources = (path for path in (PROJECT / "notify").rglob("*") if path.suffix in suffixes)
    assert packaged == {path.relative_to(PROJECT).as_posix() for path in sources}


def test_the_sdist_holds_the_sources_of_the_client(distributions):
    """So a user of the bundle can also build it."""
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "client/package.json", "tests/settings.py"} <= names
    assert not any("node_modules" in name for name in names)


def test_the_wheel_works_outside_the_checkout(wheel, tmp_path):
    """Install, migrate, collect static files under hashed names, and send."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env/bin/python"
    site = tmp_path / "site"
    site.mkdir()
    (site / "site_settings.py").write_text(SETTINGS)
    (site / "urls.py").write_text(URLS)
    keep = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = keep | {"DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": str(site)}

    def run(*arguments: str | Path) -> str:
        command = [python, *arguments]
        done = subprocess.run(command, cwd=site, env=environment, stdout=subprocess.PIPE, text=True)
        assert done.returncode == 0, arguments
        return done.stdout

    run("-m", "pip", "install", "-q", "--disable-pip-version-check", wheel)
    run("-m", "django", "check")
    run("-m", "django", "migrate", "-v", "0")
    run("-m", "django", "collectstatic", "--no-input")
    assert (site / "static/staticfiles.json").exists()
    assert run("-c", SEND).strip() in wheel.name


@pytest.mark.parametrize("follow", [follow_the_quickstart, follow_the_tutorial])
def test_the_texts_are_right_word_for_word(
    follow: Callable[[Project], None], distributions: Path, tmp_path: Path
) -> None:
    """In an empty environment, the commands of a text install all that its project needs."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    (tmp_path / "site").mkdir()
    project = Project(tmp_path / "site", tmp_path / "env/bin/python")
    links = [project.env.get("PIP_FIND_LINKS", ""), str(distributions)]
    project.env |= {"PIP_FIND_LINKS": " ".join(links), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    follow(project)
