"""The demo site, served by a real server, and people who visit it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.kit import servers
from tests.kit.patience import PATIENCE

PROJECT = Path(__file__).parents[2]
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
IN_BACKGROUND = 'Object.defineProperty(Document.prototype, "hidden", { get: () => true })'
RIGHT_TO_LEFT = """
new MutationObserver(() => { document.documentElement.dir = "rtl" }).observe(document, { childList: true })
"""
WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error("Policy violated: " + event.violatedDirective + " by " + event.blockedURI)
})
"""
TAKE_PANEL_AWAY = """
for (const bell of document.querySelectorAll("notify-bell")) bell.replaceWith(...bell.childNodes)
"""
numbers = itertools.count(1)

expect.set_options(timeout=1000 * PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def until(get: Callable[[], Any], wanted: Any) -> float:
    """Wait until the call returns the wanted value. Returns the seconds it took."""
    start = time.monotonic()
    while (found := get()) != wanted:
        assert time.monotonic() < start + PATIENCE, f"{found} instead of {wanted}"
        time.sleep(0.02)
    return time.monotonic() - start


class Site:
    """The demo with its web process, its worker and a sending process, on one SQLite file."""

    def __init__(self, server: type[servers.Web], folder: Path, **env: str) -> None:
        self.folder = folder
        self.env = {
            **{
                name: value
                for name, value in os.environ.items()
                if name not in ("REDIS_URL", "DATABASE_URL")
            },
            "DJANGO_SETTINGS_MODULE": "demo_project.settings",
            "DEMO_DATA_DIR": str(folder),
            **env,
        }
        self.web = server("demo_project.asgi:application", env=self.env)
        self._stack = ExitStack()

    def __enter__(self) -> Site:
        self.manage("migrate", "-v", "0")
        self.manage("demo_users")
        self._stack.enter_context(self.web)
        worker = ["db_worker", "--no-reload", "--interval", "0.05", "--no-startup-delay"]
        self._start(sys.executable, "manage.py", *worker)
        self.sender = self._start(sys.executable, "-m", "tests.browser.sender", text=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def manage(self, *arguments: str) -> None:
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(command, cwd=PROJECT, env=self.env, check=True, stdout=subprocess.DEVNULL)

    def call(self, call: str, **arguments: Any) -> Any:
        """Call a function of the sending process. Returns when its work is committed."""
        assert self.sender.stdin
        assert self.sender.stdout
        print(json.dumps({"do": call, **arguments}), file=self.sender.stdin, flush=True)
        return json.loads(self.sender.stdout.readline())

    def end(self, call: str) -> None:
        """Call a function that the sending process does not survive."""
        assert self.sender.stdin
        print(json.dumps({"do": call}), file=self.sender.stdin, flush=True)
        self.sender.wait(timeout=10)

    def send(self, to: str, message: str, **options: Any) -> Any:
        return self.call("send", to=to, message=message, **options)

    def _start(self, *command: str, text: bool = False) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} if text else {}
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=self.env,
            text=True,
            **(pipes or {"stdout": subprocess.DEVNULL}),
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        if text:
            assert process.stdin
            assert process.stdout
            self._stack.callback(process.stdin.close)
            self._stack.callback(process.stdout.close)
        return process


class Tab:
    """A page that a user has open, and its contents."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        self.allowed_errors: tuple[str, ...] = ()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: line.type == "error" and self.errors.append(line.text))

    def open(self, path: str = "/", *, transport: str = "websocket") -> Tab:
        self.page.goto(self.url + path)
        self.wait(transport)
        return self

    def wait(self, transport: str = "websocket", state: str = "open") -> None:
        expect(self.root).to_have_attribute("state", state)
        if transport:
            expect(self.root).to_have_attribute("transport", transport)

    @property
    def root(self) -> Locator:
        return self.page.locator("notify-root")

    @property
    def toasts(self) -> Locator:
        return self.page.locator(".nf-toast:not([data-state=closing])")

    def toast(self, text: str) -> Locator:
        return self.toasts.filter(has_text=text)

    @property
    def badge(self) -> Locator:
        return self.page.locator("notify-badge .nf-badge")

    def shows(self, *texts: str) -> None:
        """Wait until exactly these toasts are shown, the newest first."""
        expect(self.toasts).to_have_count(len(texts))
        for toast, text in zip(self.toasts.all(), texts, strict=True):
            expect(toast).to_contain_text(text)

    def take_panel_away(self) -> None:
        """Take the element around the bell away, so that the button "N more" expands the stack."""
        self.page.evaluate(TAKE_PANEL_AWAY)

    def dismiss(self, text: str) -> None:
        self.toast(text).locator(".nf-close").click()

    def unexpected_errors(self) -> list[str]:
        return [e for e in self.errors if not any(allowed in e for allowed in self.allowed_errors)]


class Person:
    """A user with a browser of their own."""

    def __init__(self, name: str, site: Site, context: BrowserContext) -> None:
        self.name = name
        self.site = site
        self.context = context
        self.tabs: list[Tab] = []
        context.add_init_script(WATCH_POLICY)

    def tab(self, url: str = "") -> Tab:
        """Open a new tab, at the site or at the address of a proxy in front of it."""
        tab = Tab(self.context.new_page(), url or self.site.web.url)
        self.tabs.append(tab)
        return tab

    def open(self, path: str = "/", *, transport: str = "websocket") -> Tab:
        return self.tab().open(path, transport=transport)

    def hide_tabs(self) -> None:
        """
        Have the tabs that are opened from now on believe that they are in the background.

        A toast that is looked at is seen after a second, which clears the badge, and is closed after some
        more: a test that is slow would find neither.
        """
        self.context.add_init_script(IN_BACKGROUND)

    def send(self, message: str, **options: Any) -> Any:
        """Send the user a notification, from the sending process."""
        return self.site.send(self.name, message, **options)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = servers.need(servers.find_chromium)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server() -> type[servers.Web]:
    """The server of the site. A module may choose another one."""
    return servers.Daphne


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """
    Returns a function that starts the demo on a server, once for all modules.

    Each test creates its own users.
    """
    with ExitStack() as stack:
        yield cache(lambda kind: stack.enter_context(Site(kind, tmp_path_factory.mktemp("demo"))))


@pytest.fixture(scope="module")
def site(server: type[servers.Web], sites: Callable[..., Site]) -> Site:
    return sites(server)


@pytest.fixture
def meet(browser: Browser, site: Site) -> Iterator[Callable[..., Person]]:
    """
    Returns a function that creates a person with a new account.

    At the end, none of their pages may have logged an error.
    """
    people: list[Person] = []

    def meet(name: str, *, number: bool = True, **options: Any) -> Person:
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 700}, **options})
        name = f"{name}{next(numbers)}" if number else name
        cookie = site.call("visitor", name=name)
        context.add_cookies([{**cookie, "url": site.web.url}])
        people.append(Person(name, site, context))
        return people[-1]

    yield meet
    errors = [
        error for person in people for tab in person.tabs for error in tab.unexpected_errors()
    ]
    for person in people:
        person.context.close()
    assert errors == []


@pytest.fixture
def alice(meet: Callable[..., Person]) -> Person:
    return meet("alice")


@pytest.fixture
def bob(meet: Callable[..., Person]) -> Person:
    return meet("bob")
