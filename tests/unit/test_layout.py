"""The shape of the package: which file is where, and who may know whom."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

import notify

PROJECT = Path(__file__).resolve().parents[2]
NOT_TESTED_BY_ITSELF = {"migrations", "contrib"}


def modules() -> Iterator[str]:
    """Every module of notify below the package, such as "outbox" or "templatetags.notify"."""
    for found in pkgutil.walk_packages(notify.__path__, "notify."):
        if not found.ispkg:
            yield found.name.removeprefix("notify.")


MODULES = [name for name in modules() if name.partition(".")[0] not in NOT_TESTED_BY_ITSELF]


def test_the_package_is_found():
    """A guard for the tests below, which say nothing about an empty list."""
    assert {"sending.calls", "mailbox.outbox", "protocol", "templatetags.notify"} <= set(MODULES)


@pytest.mark.parametrize("module", ["__init__", *MODULES])
def test_every_module_has_its_test_file(module):
    """tests/unit/test_<module>.py, in the folders that the package has."""
    *folders, name = module.split(".")
    expected = Path("tests/unit", *folders, f"test_{name.strip('_')}.py")
    assert (PROJECT / expected).is_file(), f"{expected} is missing."


def import_all() -> None:
    for name in modules():
        if name != "admin" or apps.is_installed("django.contrib.admin"):
            importlib.import_module(f"notify.{name}")


def public_names() -> set[str]:
    return {name for name in notify.__all__ if name != "inbox"}


def test_no_submodule_has_the_name_of_a_call():
    """An imported submodule becomes an attribute of its package, and would shadow the call."""
    import_all()
    for name in public_names():
        assert callable(getattr(notify, name)), name
    top = {name.partition(".")[0] for name in modules()}
    assert not top & public_names()


@pytest.mark.django_db
def test_every_call_still_calls_after_all_imports(user):
    import_all()
    for name in ("send", "debug", "info", "success", "warning", "error"):
        assert getattr(notify, name)(user, "Hello").message == "Hello"
    assert len(notify.send_many([user], "Hello")) == 1
    assert notify.Action("Open", "/x/").label == "Open"
    assert notify.inbox.counts(user) == (7, 7)


def imports_of(path: Path) -> set[str]:
    """The top-level packages that a file names in its imports, wherever they stand in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_the_protocol_is_pure_python():
    """So every rule of it can be tested by calling a function."""
    found = imports_of(PROJECT / "notify/protocol.py")
    assert "json" in found
    assert not found & {"django", "channels", "asyncio", "asgiref"}
    assert not imports_of(PROJECT / "notify/exceptions.py") - {"__future__"}


def test_nothing_imports_an_optional_package():
    """redis and servers are the project's choice; extras only install them."""
    optional = {"redis", "channels_redis", "daphne", "uvicorn", "gevent", "eventlet"}
    optional |= {"celery", "dramatiq", "huey", "rq"}
    for path in (PROJECT / "notify").rglob("*.py"):
        if "contrib" not in path.parts:
            assert not imports_of(path) & optional, path


def test_nothing_imports_tests_or_the_demo():
    for path in (PROJECT / "notify").rglob("*.py"):
        assert not imports_of(path) & {"tests", "demo_project"}, path


def loaded_by(module: str) -> set[str]:
    """What a fresh interpreter without settings has imported after one import."""
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["notify", "notify.asgi", "notify.apps", "notify.contrib.dramatiq"]
)
def test_no_model_is_imported_too_early(module):
    """
    asgi.py may import notify before Django is set up, and Django imports apps.py before that.

    A broker with its middleware is made while apps are loaded.
    """
    loaded = loaded_by(module)
    assert module in loaded
    assert "notify.models" not in loaded
    assert not any(name.startswith("django.contrib.auth.models") for name in loaded)


def test_the_protocol_loads_without_django():
    loaded = loaded_by("notify.protocol")
    assert not {"django", "channels", "asyncio"} & loaded


def test_every_module_says_what_it_is_for():
    """But for those whose name is Django's own."""
    plain = {"apps", "management.commands.notify_send"}
    for name in MODULES:
        text = (PROJECT / "notify" / f"{name.replace('.', '/')}.py").read_text()
        assert name in plain or ast.get_docstring(ast.parse(text)), name
