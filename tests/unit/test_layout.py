"""The structure of the package: the places of its files, and the allowed imports."""

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

PROJECT = Path(__file__).resolve().parent.parent.parent
NOT_TESTED_BY_ITSELF = {"migrations", "contrib"}


def modules() -> Iterator[str]:
    """All modules of notify below the package, such as "outbox" or "templatetags.notify"."""
    for found in pkgutil.walk_packages(notify.__path__, "notify."):
        if not found.ispkg:
            yield found.name.removeprefix("notify.")


MODULES = [name for name in modules() if name.partition(".")[0] not in NOT_TESTED_BY_ITSELF]


def test_the_package_is_found():
    """The tests below would pass with an empty list."""
    assert {"doorbell", "mailbox.outbox", "protocol", "templatetags.notify"} <= set(MODULES)


@pytest.mark.parametrize("module", ["__init__", *MODULES])
def test_every_module_has_its_test_file(module):
    """It is tests/unit/test_<module>.py, in the same folders as in the package."""
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
    """An imported submodule becomes an attribute of its package, and would hide the function."""
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
    """The top-level packages that a file imports, wherever the import is."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_the_protocol_is_pure_python():
    """So each rule of the protocol can be tested by calling a function."""
    found = imports_of(PROJECT / "notify/protocol.py")
    assert "json" in found
    assert not found & {"django", "channels", "asyncio", "asgiref"}
    assert not imports_of(PROJECT / "notify/exceptions.py") - {"__future__"}


def test_nothing_imports_an_optional_package():
    """The project chooses redis and the server. The extras only install them."""
    optional = {"redis", "channels_redis", "daphne", "uvicorn", "gevent", "eventlet"}
    optional |= {"celery", "dramatiq", "huey", "rq"}
    for path in (PROJECT / "notify").rglob("*.py"):
        if "contrib" not in path.parts:
            assert not imports_of(path) & optional, path


def test_nothing_imports_tests_or_the_demo():
    for path in (PROJECT / "notify").rglob("*.py"):
        assert not imports_of(path) & {"tests", "demo_project"}, path


def loaded_by(module: str) -> set[str]:
    """Returns the modules that a new interpreter without settings has loaded after one import."""
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

    A broker with its middleware is created while apps are loaded.
    """
    loaded = loaded_by(module)
    assert module in loaded
    assert "notify.models" not in loaded
    assert not any(name.startswith("django.contrib.auth.models") for name in loaded)


def test_the_protocol_loads_without_django():
    loaded = loaded_by("notify.protocol")
    assert not {"django", "channels", "asyncio"} & loaded


def test_every_module_says_what_it_is_for():
    """Modules whose name comes from Django are exempt."""
    plain = {"apps", "management.commands.notify_send"}
    for name in MODULES:
        text = (PROJECT / "notify" / f"{name.replace('.', '/')}.py").read_text()
        assert name in plain or ast.get_docstring(ast.parse(text)), name


def test_no_module_is_longer_than_a_reader_has_patience_for():
    """A module of more than 350 lines, or a body of more than 40, should be split."""
    for path in (PROJECT / "notify").rglob("*.py"):
        if "migrations" in path.parts:
            continue
        text = path.read_text()
        assert len(text.splitlines()) <= 350, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[ast.get_docstring(node) is not None :] or node.body
                assert first[-1].end_lineno - first[0].lineno < 40, f"{path}: {node.name}"
