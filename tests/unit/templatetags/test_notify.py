from __future__ import annotations

import json
import time
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.middleware import MessageMiddleware
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template, TemplateSyntaxError, engines
from django.test import Client
from django.urls import include, path
from django.utils import timezone, translation
from django.utils.safestring import mark_safe
from django.utils.translation import trans_real

import notify
from notify.auth.identity import identity
from notify.labels import labels
from notify.models import Mailbox, Notification
from notify.templatetags import notify as tags
from notify.tracking import rows as task_rows
from notify.tracking.run import TaskRun
from tests.kit.translation import compiled

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


def test_a_page_gets_scripts_style_and_root(user, request_of):
    """Module scripts run in the order of the document: the page's own listens before the root begins."""
    text = render("{% load notify %}{% notify %}", request_of(user))
    elements = Elements(text)
    assert elements.tags == ["link", "script", "script", "script", "script", "notify-root"]
    assert elements["link"] == {"rel": "stylesheet", "href": "/static/notify/notify.css"}
    scripts = [attributes for tag, attributes in elements.found if tag == "script"]
    assert scripts == [
        {"type": "module", "src": f"/static/notify/{name}.js"}
        for name in ("page", "news", "notify", "tasks")
    ]
    attributes = elements["notify-root"]
    assert attributes.pop("user")
    assert abs(int(attributes.pop("rendered") or "") - time.time()) < 60
    assert json.loads(attributes.pop("labels") or "") == labels()
    assert attributes == {
        "id": "notify-root",
        "src": "/notify/",
        "inbox": "/notify/inbox/",
        "transports": "websocket sse longpoll poll",
        "poll-interval": "5",
        "csrf-cookie": "csrftoken",
        "csrf-header": "X-CSRFTOKEN",
    }


def test_a_strict_policy_is_kept(user, request_of):
    """The page itself contains no script, style or handler."""
    text = render("{% load notify %}{% notify %}{% notify_badge '/inbox/' %}", request_of(user))
    elements = Elements(text)
    assert "style" not in elements.tags
    assert not elements.words[1:]  # only the number of the badge
    for _, attributes in elements.found:
        assert not {name for name in attributes if name == "style" or name.startswith("on")}


@pytest.mark.parametrize("tag", ["{% notify %}", "{% notify_badge %}", "{% notify_badge '/x/' %}"])
def test_a_visitor_gets_nothing(tag, request_of, rf):
    """A page without a user, or without a request, gets nothing either."""
    text = "{% load notify %}" + tag
    assert render(text, request_of(AnonymousUser())).strip() == ""
    assert render(text, rf.get("/")).strip() == ""
    assert render(text).strip() == ""


@pytest.mark.parametrize("setting", ["CSRF_COOKIE_NAME", "CSRF_USE_SESSIONS"])
def test_a_browser_that_has_had_a_user_is_told_to_wipe_what_it_kept(setting, request_of, settings):
    """The page after a sign-out carries one script, which knows the site by the prefix of its URLs."""
    request = request_of(AnonymousUser())
    if setting == "CSRF_USE_SESSIONS":
        settings.CSRF_USE_SESSIONS = True
    else:
        request.COOKIES["csrftoken"] = "x" * 32
    (found,) = Elements(render("{% load notify %}{% notify %}", request, csp_nonce="n")).found
    source = "/static/notify/signed-out.js"
    attributes = {"type": "module", "src": source, "data-notify": "/notify/", "nonce": "n"}
    assert found == ("script", attributes)


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


def test_a_page_from_a_runserver_that_cannot_push_only_polls(user, request_of):
    """Each try of a WebSocket there would be an error in the browser's console, several times a minute."""
    request = request_of(user)
    request.META["SERVER_SOFTWARE"] = "WSGIServer/0.2"
    assert root(request)["transports"] == "poll"
    assert root(request, "{% notify transports='websocket poll' %}")["transports"] == "poll"


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
    """By default, each tab has its own."""
    assert "share" not in root(request_of(user))
    settings.NOTIFY_SHARE_WEBSOCKET = True
    assert root(request_of(user))["share"] == "websocket"


@pytest.mark.parametrize("around", ["{}", "{{% autoescape off %}}{}{{% endautoescape %}}"])
def test_attributes_are_escaped(around, user, request_of, settings):
    """This also holds on a page without autoescape."""
    settings.NOTIFY_TRANSPORTS = ['"><script>alert(1)</script>']
    text = "{% load notify %}" + around.format("{% notify %}{% notify_badge href %}")
    elements = Elements(render(text, request_of(user), href='"><script>alert(2)</script>'))
    assert elements.tags.count("script") == 4
    assert elements["notify-root"]["transports"] == '"><script>alert(1)</script>'
    assert elements["a"]["href"] == '"><script>alert(2)</script>'
    assert json.loads(elements["notify-root"]["labels"] or "") == labels()


def test_the_user_is_told_apart_and_not_told(user, other_user, request_of):
    """The page contains the user's identity, an opaque text. That of another user differs."""
    assert root(request_of(user))["user"] == identity(user.pk)
    assert root(request_of(other_user))["user"] == identity(other_user.pk)


@pytest.mark.parametrize("key", ["one", "another"])
def test_the_identity_is_the_same_in_each_session(key, user, request_of):
    """A session in a signed cookie has another key after each response that saves it."""
    request = request_of(user)
    request.session = SimpleNamespace(session_key=key)
    assert root(request)["user"] == identity(user.pk)


# -- CSRF ----------------------------------------------------------------------------------------


@pytest.fixture
def site(client, user, settings):
    settings.ROOT_URLCONF = __name__
    client.force_login(user)
    return client


def test_the_page_sets_the_cookie_that_the_script_reads(site):
    """The page needs no form. The token itself is not in the page."""
    answer = site.get("/page/")
    assert answer.cookies["csrftoken"].value
    assert "csrf-token" not in Elements(answer.content.decode())["notify-root"]


@pytest.mark.parametrize("mode", ["CSRF_USE_SESSIONS", "CSRF_COOKIE_HTTPONLY"])
def test_a_token_that_the_script_cannot_read_is_in_the_page(mode, user, settings):
    """A command may carry this token."""
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
    """Then the link carries the name, and not the number in it."""
    notify.send(user, "one")
    found = badge(request_of(user), "{% notify_badge href='/inbox/?a=1&b=2' %}")
    assert found.tags == ["notify-badge", "a", "span"]
    assert found["a"] == {"href": "/inbox/?a=1&b=2", "aria-label": "Notifications, 1 new"}
    assert found["span"] == {"class": "nf-badge"}


def test_a_badge_of_nothing_is_hidden(user, request_of):
    """The link stays, with its plain name, as the script would leave it."""
    found = badge(request_of(user), "{% notify_badge '/inbox/' %}")
    assert found["notify-badge"] == {"count": "0"}
    assert found["span"] == {"class": "nf-badge", "hidden": None}
    assert found["a"]["aria-label"] == "Notifications"


@pytest.mark.parametrize(
    ("unseen", "shown"), [(99, "99"), (100, "99+"), (1234, "99+"), (1_234_567, "99+")]
)
def test_a_large_count_is_shown_as_99_plus(unseen, shown, user, request_of, settings):
    """The attribute has the full count, in digits that the script can parse."""
    settings.USE_THOUSAND_SEPARATOR = True
    notify.send(user, "one")
    Mailbox.objects.update(unseen=unseen)
    with translation.override("de"):
        found = badge(request_of(user))
    assert found["notify-badge"] == {"count": str(unseen)}
    assert found.words == [shown]


def test_a_badge_refuses_no_user_of_another_kind(user, request_of):
    """A page is rendered for every user that the site has signed in, such as the bearer of a token."""
    for pk, count in ((user.pk, "1"), (None, "0")):
        notify.send(user, "Hello", key="k")
        stranger = SimpleNamespace(pk=pk, is_authenticated=True, is_anonymous=False)
        assert badge(request_of(stranger))["notify-badge"] == {"count": count}


def test_a_badge_costs_one_query(user, request_of, django_assert_num_queries):
    notify.send(user, "one")
    request = request_of(user)
    with django_assert_num_queries(1):
        badge(request)


# -- Labels --------------------------------------------------------------------------------------


def test_the_badge_stops_counting_where_the_script_does():
    source = (CLIENT / "page/badge.js").read_text()
    assert f"const MOST = {tags.BADGE_MAX};" in source


@pytest.fixture
def german(settings, tmp_path):
    """A site that has translated two of the labels."""
    folder = tmp_path / "de/LC_MESSAGES"
    folder.mkdir(parents=True)
    new = "%(count)s new\0%(count)s new"
    words = {"Notifications": "Mitteilungen", new: "%(count)s neue\0%(count)s neue"}
    (folder / "django.mo").write_bytes(compiled(words, "nplurals=2; plural=(n != 1);"))
    settings.LOCALE_PATHS = [tmp_path]
    yield
    settings.LOCALE_PATHS = []
    trans_real._translations.clear()


def test_the_words_are_in_the_language_of_the_page(german, user, request_of):
    """A catalogue of the site comes before notify's own, which has the texts that the site's lacks."""
    notify.send(user, "one")
    with translation.override("de"):
        sent = json.loads(root(request_of(user))["labels"] or "")
        name = badge(request_of(user))["span"]["aria-label"]
    assert (sent["notifications"], sent["dismiss"]) == ("Mitteilungen", "Schließen")
    assert name == "Mitteilungen, 1 neue"
    with translation.override("en"):
        assert json.loads(root(request_of(user))["labels"] or "") == labels()


def test_a_nonce_of_the_page_is_carried(request_of, user):
    """
    Django 6 puts it into the context, django-csp on the request; both are false until they are used.
    Without one, there is no attribute.
    """

    class Unused(str):
        def __bool__(self) -> bool:
            return False

    request = request_of(user)
    text = "{% load notify %}{% notify %}"
    assert "nonce" not in render(text, request)
    assert render(text, request, csp_nonce=Unused("abc")).count('nonce="abc"') == 5
    request.csp_nonce = Unused("def")
    assert render(text, request).count('nonce="def"') == 5


def test_what_shows_outside_the_page_is_off_unless_it_is_asked_for(request_of, user):
    """The script for it is loaded only by the pages that need it."""
    request = request_of(user)
    assert "outside.js" not in render("{% load notify %}{% notify %}", request)
    for option, attributes in {
        "title=True": {"title-count": None},
        "app_badge=True": {"app-badge": None},
        'sound="sounds/pling.ogg"': {"sound": "/static/sounds/pling.ogg"},
    }.items():
        elements = Elements(render("{% load notify %}{% notify " + option + " %}", request))
        assert elements.found[5][1]["src"] == "/static/notify/outside.js"
        found = elements["notify-root"]
        names = {"title-count", "app-badge", "sound"}
        assert {name: found[name] for name in names & set(found)} == attributes


def test_a_position_may_be_given(request_of, user):
    request = request_of(user)
    assert "position" not in render("{% load notify %}{% notify %}", request)
    text = '{% load notify %}{% notify position="block-start inline-end" %}'
    assert 'position="block-start inline-end"' in render(text, request)


# -- The bell ------------------------------------------------------------------------------------


def test_a_bell_leads_to_the_inbox_and_shows_what_is_unseen(user, request_of):
    notify.send_many([user], "one")
    found = badge(request_of(user), "{% notify_bell %}")
    assert found.tags == ["notify-bell", "notify-badge", "a", "svg", "path", "span"]
    bell = found["notify-bell"]
    assert bell["script"] == "/static/notify/inbox.js"
    assert bell["styles"] == "/static/notify/inbox.css /static/notify/panel.css"
    assert "nonce" not in bell
    assert json.loads(bell["labels"])["read_all"] == "Mark all as read"
    assert found["notify-badge"] == {"class": "nf-bell", "count": "1"}
    assert found["a"] == {"href": "/notify/inbox/", "aria-label": "Notifications, 1 new"}
    assert found["svg"]["aria-hidden"] == "true"
    assert found["span"] == {"class": "nf-badge"}


def test_a_bell_of_nothing_new_has_no_number(user, request_of):
    found = badge(request_of(user), "{% notify_bell %}")
    assert found["a"]["aria-label"] == "Notifications"
    assert found["span"] == {"class": "nf-badge", "hidden": None}


def test_a_bell_passes_the_nonce_on_to_the_styles_of_the_panel(user, request_of):
    request = request_of(user)
    request.csp_nonce = "fresh"
    assert badge(request, "{% notify_bell %}")["notify-bell"]["nonce"] == "fresh"


def test_nobody_has_no_bell(request_of):
    assert render("{% load notify %}{% notify_bell %}", request_of(AnonymousUser())).strip() == ""


def test_the_root_says_whether_tabs_are_quiet(request_of, user, settings):
    text = "{% load notify %}{% notify %}"
    assert " echo=" not in render(text, request_of(user))
    settings.NOTIFY_ECHO = "quiet"
    assert ' echo="quiet"' in render(text, request_of(user))


class TestMessages:
    @pytest.fixture
    def request_with(self, request_of, user):
        """Returns a function that makes a request to which messages were added."""

        def request_with(*given: Any, who: Any = user) -> Any:
            request = request_of(who)
            request.session = {}
            MessageMiddleware(lambda request: HttpResponse()).process_request(request)
            for level, text, *extra in given:
                messages.add_message(request, level, text, *extra)
            return request

        return request_with

    def test_they_are_the_usual_list_with_their_levels(self, request_with):
        request = request_with((25, "Saved & done", "mine"), (messages.ERROR, "No"), (60, "Custom"))
        text = " ".join(render("{% load notify %}{% notify_messages %}", request).split())
        assert text == (
            '<notify-messages><ul class="messages">'
            ' <li class="mine success" data-level="success">Saved &amp; done</li>'
            ' <li class="error" data-level="error">No</li>'
            ' <li data-level="error">Custom</li>'
            " </ul></notify-messages>"
        )

    def test_levels_that_stay_inline_are_marked(self, request_with):
        text = "{% load notify %}{% notify_messages inline='warning error' %}"
        given = [(messages.INFO, "a"), (messages.WARNING, "b"), (messages.ERROR, "c")]
        html = render(text, request_with(*given))
        assert [" data-inline>" in line for line in html.splitlines() if "<li" in line] == [
            False,
            True,
            True,
        ]
        with pytest.raises(TemplateSyntaxError, match=r"no level 'errors'\. Use debug, info"):
            render("{% load notify %}{% notify_messages inline='errors' %}", request_with())

    def test_markup_of_a_safe_string_is_kept(self, request_with):
        request = request_with((messages.INFO, mark_safe("<b>Bold</b>")))
        assert "><b>Bold</b></li>" in render("{% load notify %}{% notify_messages %}", request)

    def test_visitors_have_messages_too(self, request_with):
        request = request_with((messages.INFO, "Signed out"), who=AnonymousUser())
        assert "Signed out" in render("{% load notify %}{% notify_messages %}", request)

    def test_without_messages_or_a_request_there_is_nothing(self, request_of, user):
        text = "{% load notify %}{% notify_messages %}"
        assert render(text, request_of(user)).strip() == ""
        assert Template(text).render(Context()).strip() == ""


class TestProgress:
    TAG = "{% load notify %}{% notify_progress 'export' %}"

    def save(self, user: Any, **values: Any) -> None:
        run = TaskRun(user.pk, "Export", key="export", started_at=timezone.now())
        task_rows.save(run)
        row = Notification.objects.get(recipient=user)
        row.progress = {**row.progress, **values}
        row.save()

    def elements(self, request: Any) -> dict[str, dict[str, str | None]]:
        return dict(Elements(render(self.TAG, request)).found)

    def test_a_running_task_has_a_bar(self, request_of, user, settings):
        settings.USE_THOUSAND_SEPARATOR = True
        self.save(user, state="running", done=1420, total=12000, message="Page 3")
        found = self.elements(request_of(user))
        assert found["notify-progress"] == {"key": "export", "state": "running"}
        bar = {"aria-label": "Export", "max": "12000", "value": "1420"}
        assert found["progress"] == bar
        html = render(self.TAG, request_of(user))
        assert '<p class="nf-task-title">Export</p>' in html
        assert '<p class="nf-task-text">Page 3</p>' in html

    def test_without_a_total_the_bar_is_indeterminate(self, request_of, user):
        self.save(user, state="running", done=3, total=None)
        assert self.elements(request_of(user))["progress"] == {"aria-label": "Export"}

    def test_the_result_takes_its_place_with_a_link(self, request_of, user):
        self.save(user, state="succeeded", ended_at="2026-11-20T23:00:00+00:00")
        Notification.objects.update(title="Export", message="<3 rows", url="/exports/7/")
        found = self.elements(request_of(user))
        assert "hidden" in found["progress"]
        assert found["a"] == {"href": "/exports/7/"}
        assert "&lt;3 rows" in render(self.TAG, request_of(user))

    def test_the_script_has_the_nonce_of_the_page(self, request_of, user):
        html = render(self.TAG, request_of(user), csp_nonce="abc")
        assert html.count('nonce="abc"') == 1

    def test_a_lost_task_has_no_bar(self, request_of, user):
        self.save(user, state="lost")
        assert "hidden" in self.elements(request_of(user))["progress"]

    def test_another_user_and_nobody_see_nothing_of_it(self, request_of, user, other_user):
        self.save(user)
        html = render(self.TAG, request_of(other_user))
        script, element = html.strip().splitlines()
        assert "notify/task.js" in script
        assert element == '<notify-progress key="export"></notify-progress>'
        assert render(self.TAG, request_of(AnonymousUser())).strip() == ""
        assert Template(self.TAG).render(Context()).strip() == ""
