"""
A private Firefox, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/), which it speaks itself.

    with Firefox() as firefox:
        page = firefox.profile().page()
        page.goto(url)
        page.until("document.querySelector('.nf-toast')")
        page.press("Escape")
"""

from __future__ import annotations

import itertools
import json
import time
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from tests.kit import servers
from tests.kit.patience import PATIENCE

KEYS = {"Delete": "\ue017", "Enter": "\ue007", "Escape": "\ue00c", "F6": "\ue036", "Tab": "\ue004"}
PREFERENCES = """
user_pref("app.normandy.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("messaging-system.rsexperimentloader.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.enabled", false);
"""


class BidiError(Exception):
    """Firefox has answered a command with an error."""


class Firefox(servers.Server):
    """One browser process. Its profiles have nothing in common."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()

    @classmethod
    def check(cls) -> None:
        cls.program()

    @staticmethod
    def program() -> str:
        return servers.find_program("firefox-esr", "firefox", package="firefox-esr")

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "HOME": str(self.folder), "MOZ_HEADLESS": "1"}

    def prepare(self) -> None:
        assert self.folder is not None
        (self.folder / "user.js").write_text(PREFERENCES)

    def command(self) -> list[str]:
        remote = ["--remote-debugging-port", str(self.port), "--no-remote"]
        return [self.program(), *remote, "--profile", str(self.folder), "about:blank"]

    def start(self) -> None:
        super().start()
        opening = connect(f"ws://{self.address}/session", max_size=None, open_timeout=PATIENCE)
        self.connection: ClientConnection = self._stack.enter_context(opening)
        self._numbers = itertools.count(1)
        self._pages: dict[str, Page] = {}
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])

    def close(self) -> None:
        self._stack.close()
        super().close()

    def call(self, method: str, **params: Any) -> Any:
        """Execute a command. Returns its result."""
        number = next(self._numbers)
        self.connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.connection.recv(timeout=PATIENCE))
            if message["type"] == "event":
                self._log(message["params"])
            elif message["id"] == number:
                if message["type"] == "error":
                    raise BidiError(f"{method}: {message['error']}: {message['message']}")
                return message["result"]

    def _log(self, entry: dict[str, Any]) -> None:
        page = self._pages.get(entry["source"].get("context", ""))
        if page and entry["level"] == "error":
            page.errors.append(str(entry["text"]))

    def profile(self) -> Profile:
        return Profile(self, self.call("browser.createUserContext")["userContext"])


class Profile:
    """Pages that share cookies and storage."""

    def __init__(self, firefox: Firefox, name: str) -> None:
        self.firefox, self.name = firefox, name

    def add_cookie(self, url: str, name: str, value: str) -> None:
        cookie = {"name": name, "value": {"type": "string", "value": value}}
        where = {"type": "storageKey", "userContext": self.name}
        domain = urlsplit(url).hostname
        self.firefox.call("storage.setCookie", cookie={**cookie, "domain": domain}, partition=where)

    def page(self) -> Page:
        return Page(
            self.firefox,
            self.firefox.call("browsingContext.create", type="tab", userContext=self.name)[
                "context"
            ],
        )

    def close(self) -> None:
        self.firefox.call("browser.removeUserContext", userContext=self.name)


class Page:
    """One tab."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self.firefox, self.context = firefox, context
        self.errors: list[str] = []
        firefox._pages[context] = self

    def goto(self, url: str) -> None:
        self.firefox.call(
            "browsingContext.navigate", context=self.context, url=url, wait="complete"
        )

    def show(self) -> None:
        """Bring the tab to the front."""
        self.firefox.call("browsingContext.activate", context=self.context)

    def run(self, expression: str) -> Any:
        """Returns the value of an expression or of its promise, if it can be JSON."""
        script = f"Promise.resolve({expression}).then((value) => JSON.stringify(value))"
        answer = self.firefox.call(
            "script.evaluate",
            expression=script,
            target={"context": self.context},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise BidiError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"].get("value") or "null")

    def until(self, expression: str, value: Any = True) -> None:
        """Wait until an expression has this value."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                found = self.run(expression)
            except BidiError as error:  # while the page is replaced
                found = error
            if found == value:
                return
            assert time.monotonic() < deadline, f"{expression} is {found!r}, not {value!r}"
            time.sleep(0.02)

    def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse."""
        self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        x, y = self.run(
            f"(({{ x, y, width, height }}) => [x + width / 2, y + height / 2].map(Math.round))"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        move = {"type": "pointerMove", "x": x, "y": y}
        press = [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._act({"type": "pointer", "id": "mouse", "actions": [move, *press]})

    def press(self, *keys: str) -> None:
        strokes = [
            {"type": kind, "value": KEYS.get(key, key)}
            for key in keys
            for kind in ("keyDown", "keyUp")
        ]
        self._act({"type": "key", "id": "keyboard", "actions": strokes})

    def _act(self, actions: dict[str, Any]) -> None:
        self.firefox.call("input.performActions", context=self.context, actions=[actions])
