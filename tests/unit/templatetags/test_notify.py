from __future__ import annotations

import json
import re
import struct
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client
from django.urls import include, path
from django.utils import translation
from django.utils.translation import trans_real

import notify
from notify.models import Mailbox
from notify.protocol import Level
from notify.templatetags import notify as tags

pytestmark = [pytest.mark.django_db, pytest.mark.users]

CLIENT = Path(__file__).parents[3] / "client/src"


def page(request: HttpRequest) -> HttpResponse:
    text = "{% load notify %}{% notify_badge %}{% notify %}"
    return HttpResponse(render(text, request))


urlpatterns = [path("toasts/", include("notify.urls")), path("page/", page)]


def render(text: str, request: HttpRequest | None = None, **context: Any) -> str:
    return engines["django"].from_string(text).render(context, request)


@pytest.fixture
def request_of(rf):
    def make(user: Any) -> HttpRequest:
        request = rf.get("/")
        request.user = user
        return request

    return make


class Elements(HTMLParser):
    """The elements of a page, as (tag, attributes)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data)

    def __getitem__(self, tag: str) -> dict[str, str | None]:
        ((_, attributes),) = [one for one in self.found if one[0] == tag]
        return attributes

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.found]


def root(request: HttpRequest, tag: str = "{% notify %}", **context: Any) -> dict[str, str | None]:
    return Elements(render("{% load notify %}" + tag, request, **context))["notify-root"]


def badge(request: HttpRequest, tag: str = "{% notify_badge %}", **context: Any) -> Elements:
    return Elements(render("{% load notify %}" + tag, request, **context))


# -- The root ------------------------------------------------------------------------------------


def test_a_page_gets_script_style_and_root(user, request_of):
    text = render("{% load notify %}{% notify %}", request_of(user))
    elements = Elements(text)
    assert elements.tags == ["link", "script", "script", "notify-root"]
    assert elements["link"] == {"rel": "stylesheet", "href": "/static/notify/notify.css"}
    scripts = [attributes for tag, attributes in elements.found if tag == "script"]
    assert scripts == [
        {"type": "module", "src": f"/static/notify/{name}.js"} for name in ("notify", "tasks")
    ]
    attributes = elements["notify-root"]
    assert attributes.pop("user")
    assert json.loads(attributes.pop("labels") or "") == tags.labels()
    assert attributes == {
        "id": "notify-root",
        "src": "/notify/",
        "transports": "websocket sse longpoll poll",
        "poll-interval": "5",
        "csrf-cookie": "csrftoken",
        "csrf-header": "X-CSRFTOKEN",
    }


def test_a_strict_policy_is_kept(user, request_of):
    """No script, style or handler in the page itself."""
    text = render("{% load notify %}{% notify %}{% notify_badge '/inbox/' %}", request_of(user))
    elements = Elements(text)
    assert "style" not in elements.tags
    assert not elements.words[1:]  # the badge's number alone
    for _, attributes in elements.found:
        assert not {name for name in attributes if name == "style" or name.startswith("on")}


@pytest.mark.parametrize("tag", ["{% notify %}", "{% notify_badge %}", "{% notify_badge '/x/' %}"])
def test_a_visitor_gets_nothing(tag, request_of, rf):
    """Neither does a page without a user, or without a request."""
    text = "{% load notify %}" + tag
    assert render(text, request_of(AnonymousUser())).strip() == ""
    assert render(text, rf.get("/")).strip() == ""
    assert render(text).strip() == ""


def test_a_page_for_visitors_costs_no_query_and_no_cookie(
    client, settings, django_assert_num_queries
):
    settings.ROOT_URLCONF = __name__
    with django_assert_num_queries(0):
        answer = client.get("/page/")
    assert not answer.cookies


def test_the_prefix_is_where_the_urls_are(user, request_of, settings):
    assert root(request_of(user))["src"] == "/notify/"
    settings.ROOT_URLCONF = __name__
    assert root(request_of(user))["src"] == "/toasts/"


def test_transports_may_be_chosen_for_a_page(user, request_of, settings):
    assert root(request_of(user), "{% notify transports='poll' %}")["transports"] == "poll"
    settings.NOTIFY_TRANSPORTS = ["poll", "websocket"]
    assert root(request_of(user))["transports"] == "poll websocket"


def test_settings_reach_the_client(user, request_of, settings):
    settings.NOTIFY_POLL_INTERVAL = 0.25
    settings.CSRF_COOKIE_NAME = "token"
    settings.CSRF_HEADER_NAME = "HTTP_X_MY_TOKEN"
    attributes = root(request_of(user))
    assert attributes["poll-interval"] == "0.25"
    assert attributes["csrf-cookie"] == "token"
    assert attributes["csrf-header"] == "X-MY-TOKEN"


def test_a_site_may_have_its_tabs_share_the_websocket(user, request_of, settings):
    """By default each tab has its own."""
    assert "share" not in root(request_of(user))
    settings.NOTIFY_SHARE_WEBSOCKET = True
    assert root(request_of(user))["share"] == "websocket"


@pytest.mark.parametrize("around", ["{}", "{{% autoescape off %}}{}{{% endautoescape %}}"])
def test_attributes_are_escaped(around, user, request_of, settings):
    """Also on a page that escapes nothing by itself."""
    settings.NOTIFY_TRANSPORTS = ['"><script>alert(1)</script>']
    text = "{% load notify %}" + around.format("{% notify %}{% notify_badge href %}")
    elements = Elements(render(text, request_of(user), href='"><script>alert(2)</script>'))
    assert elements.tags.count("script") == 2
    assert elements["notify-root"]["transports"] == '"><script>alert(1)</script>'
    assert elements["a"]["href"] == '"><script>alert(2)</script>'
    assert json.loads(elements["notify-root"]["labels"] or "") == tags.labels()


def test_the_user_is_told_apart_and_not_told(user, other_user, request_of):
    """An opaque name, the same on each page; another one for another user, or session."""
    first, again = (root(request_of(user))["user"] for _ in range(2))
    assert first == again
    assert re.fullmatch("[0-9a-f]{16}", first or "")
    assert str(user.pk) != first
    assert root(request_of(other_user))["user"] != first
    client = Client()
    client.force_login(user)
    signed_in = request_of(user)
    signed_in.session = client.session
    assert root(signed_in)["user"] not in (first, None)


# -- CSRF ----------------------------------------------------------------------------------------


@pytest.fixture
def site(client, user, settings):
    settings.ROOT_URLCONF = __name__
    client.force_login(user)
    return client


def test_the_page_sets_the_cookie_that_the_script_reads(site):
    """Also without a form on it; the token itself is not in the page."""
    answer = site.get("/page/")
    assert answer.cookies["csrftoken"].value
    assert "csrf-token" not in Elements(answer.content.decode())["notify-root"]


@pytest.mark.parametrize("mode", ["CSRF_USE_SESSIONS", "CSRF_COOKIE_HTTPONLY"])
def test_a_token_that_the_script_cannot_read_is_in_the_page(mode, user, settings):
    """And it is one that a command may carry."""
    settings.ROOT_URLCONF = __name__
    setattr(settings, mode, True)
    site = Client(enforce_csrf_checks=True)
    site.force_login(user)
    attributes = Elements(site.get("/page/").content.decode())["notify-root"]
    header = {(attributes["csrf-header"] or "").lower(): attributes["csrf-token"]}
    body = '{"type": "read"}'
    answer = site.post("/toasts/commands/", body, "application/json", headers=header)
    assert answer.status_code == 200
    assert site.post("/toasts/commands/", body, "application/json").status_code == 403


# -- The badge -----------------------------------------------------------------------------------


def test_a_badge_shows_what_is_unseen(user, request_of):
    for text in ("one", "two", "three"):
        row = notify.send(user, text)
    notify.inbox.mark_seen(user, [row])
    found = badge(request_of(user))
    assert found.tags == ["notify-badge", "span"]
    assert found["notify-badge"] == {"count": "2"}
    assert found["span"] == {
        "class": "nf-badge",
        "role": "img",
        "aria-label": "Notifications, 2 new",
    }
    assert found.words == ["2"]


def test_a_badge_may_lead_somewhere(user, request_of):
    """Then the link has the name, and not the number in it."""
    notify.send(user, "one")
    found = badge(request_of(user), "{% notify_badge href='/inbox/?a=1&b=2' %}")
    assert found.tags == ["notify-badge", "a", "span"]
    assert found["a"] == {"href": "/inbox/?a=1&b=2", "aria-label": "Notifications, 1 new"}
    assert found["span"] == {"class": "nf-badge"}


def test_a_badge_of_nothing_is_hidden(user, request_of):
    """The link stays, by its plain name, as the script would leave it."""
    found = badge(request_of(user), "{% notify_badge '/inbox/' %}")
    assert found["notify-badge"] == {"count": "0"}
    assert found["span"] == {"class": "nf-badge", "hidden": None}
    assert found["a"]["aria-label"] == "Notifications"


@pytest.mark.parametrize(
    ("unseen", "shown"), [(99, "99"), (100, "99+"), (1234, "99+"), (1_234_567, "99+")]
)
def test_a_large_count_is_shown_as_99_plus(unseen, shown, user, request_of, settings):
    """The attribute has it all, in digits that the script can read."""
    settings.USE_THOUSAND_SEPARATOR = True
    notify.send(user, "one")
    Mailbox.objects.update(unseen=unseen)
    with translation.override("de"):
        found = badge(request_of(user))
    assert found["notify-badge"] == {"count": str(unseen)}
    assert found.words == [shown]


def test_a_badge_costs_one_query(user, request_of, django_assert_num_queries):
    notify.send(user, "one")
    request = request_of(user)
    with django_assert_num_queries(1):
        badge(request)


# -- Words ---------------------------------------------------------------------------------------


def script_labels() -> dict[str, str]:
    """The words in client/src/platform/labels.js and tasks.js, which stand in for what the server leaves out."""
    words: dict[str, str] = {}
    for script in ("platform/labels.js", "tasks.js"):
        source = (CLIENT / script).read_text()
        block = re.search(r"DEFAULTS = \{(.*?)\};", source, re.DOTALL)
        assert block
        words |= re.findall(r'^\s*(\w+): "(.*)",$', block[1], re.MULTILINE)
    return words


def test_the_words_are_those_that_the_script_knows():
    """In English, but for the levels: a page that names none has them by their own names."""
    assert "notifications" in script_labels()
    levels = {level.value for level in Level}
    with translation.override("en"):
        words = tags.labels()
    assert {key: word for key, word in words.items() if key not in levels} == script_labels()
    assert levels < set(words)


def test_the_badge_stops_counting_where_the_script_does():
    source = (CLIENT / "elements/badge.js").read_text()
    assert f"const MOST = {tags.BADGE_MAX};" in source


def catalogue(words: dict[str, str]) -> bytes:
    """A compiled catalogue of gettext."""
    words = {"": "Content-Type: text/plain; charset=UTF-8\n", **words}
    pairs = sorted((key.encode(), value.encode()) for key, value in words.items())
    texts, tables, size = b"", [], 28 + 16 * len(pairs)
    for column in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<II", len(pair[column]), size + len(texts)))
            texts += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + b"".join(tables) + texts


@pytest.fixture
def german(settings, tmp_path):
    """A site that has translated two of the words."""
    folder = tmp_path / "de/LC_MESSAGES"
    folder.mkdir(parents=True)
    words = {"Notifications": "Mitteilungen", "%(count)s new": "%(count)s neu"}
    (folder / "django.mo").write_bytes(catalogue(words))
    settings.LOCALE_PATHS = [tmp_path]
    yield
    settings.LOCALE_PATHS = []
    trans_real._translations.clear()


def test_the_words_are_in_the_language_of_the_page(german, user, request_of):
    notify.send(user, "one")
    with translation.override("de"):
        labels = json.loads(root(request_of(user))["labels"] or "")
        name = badge(request_of(user))["span"]["aria-label"]
    assert (labels["notifications"], labels["dismiss"]) == ("Mitteilungen", "Dismiss")
    assert name == "Mitteilungen, 1 neu"
    with translation.override("en"):
        assert json.loads(root(request_of(user))["labels"] or "") == tags.labels()


def test_a_nonce_of_the_page_is_carried(request_of, user):
    """Django 6 puts it into the context, django-csp on the request; without one there is none."""
    request = request_of(user)
    text = "{% load notify %}{% notify %}"
    assert "nonce" not in render(text, request)
    assert render(text, request, csp_nonce="abc").count('nonce="abc"') == 3
    request.csp_nonce = "def"
    assert render(text, request).count('nonce="def"') == 3


def test_a_position_may_be_given(request_of, user):
    request = request_of(user)
    assert "position" not in render("{% load notify %}{% notify %}", request)
    text = '{% load notify %}{% notify position="block-start inline-end" %}'
    assert 'position="block-start inline-end"' in render(text, request)
