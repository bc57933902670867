from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

import notify
from notify.inbox import snapshot
from notify.sending.echo import COOKIE, HEADER, origin_of, request_of
from notify.tracking import rows as task_rows
from notify.tracking.run import TaskRun
from tests.kit.mailboxes import on_the_wire, rows_of

TAB, OTHER = "00a1b2c3d4", "ffffffffff"

pytestmark = [pytest.mark.users]


@pytest.fixture
def quiet(settings: Any) -> None:
    settings.NOTIFY_ECHO = "quiet"


@pytest.fixture
def ask(rf: Any) -> Any:
    """Returns a function that makes a request with these headers, and the cookie."""

    def ask(cookie: str = "", **headers: str) -> Any:
        request = rf.post("/", headers=headers)
        if cookie:
            request.COOKIES[COOKIE] = cookie
        return request

    return ask


@pytest.mark.usefixtures("quiet")
class TestQuiet:
    def test_a_script_names_its_tab_by_the_header(self, ask):
        assert origin_of(ask(**{HEADER: TAB})) == TAB
        assert origin_of(ask(OTHER, **{HEADER: TAB})) == TAB

    @pytest.mark.parametrize(
        ("headers", "counts"),
        [
            ({"Sec-Fetch-Mode": "navigate"}, True),
            ({"Sec-Fetch-Mode": "cors", "Accept": "text/html"}, False),
            ({"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, True),
            ({"Accept": "*/*"}, False),
            ({}, False),
        ],
    )
    def test_the_cookie_counts_if_a_page_is_loaded(self, ask, headers, counts):
        """A request of a script may come from another tab than the one that set the cookie."""
        assert origin_of(ask(TAB, **headers)) == (TAB if counts else "")

    @pytest.mark.parametrize(
        "name", ["", "short", "x" * 33, "ABCDEFGHIJ", "a b c d e f", "0000000ä"]
    )
    def test_a_name_that_is_no_tab_is_ignored(self, ask, name):
        request = ask()
        request.META["HTTP_X_NOTIFY_TAB"] = name
        assert origin_of(request) == ""

    def test_users_and_keys_have_no_tab(self, user):
        assert origin_of(user) == origin_of(user.pk) == origin_of(None) == ""

    def test_a_request_of_rest_framework_is_unwrapped(self, ask):
        request = ask(**{HEADER: TAB})
        assert origin_of(SimpleNamespace(_request=request)) == TAB
        assert request_of(SimpleNamespace(_request="something else")) is None

    @pytest.mark.django_db(transaction=True)
    def test_the_row_carries_the_tab_and_loses_it_with_its_content(self, ask, user):
        request = ask(**{HEADER: TAB})
        request.user = user
        notify.success(request, "Saved", key="k")
        (sent,) = on_the_wire(snapshot(user).notifications)
        assert sent["origin"] == TAB
        notify.send(user, "From a task", key="k")
        (sent,) = on_the_wire(snapshot(user).notifications)
        assert (sent["message"], sent.get("origin")) == ("From a task", None)

    @pytest.mark.django_db(transaction=True)
    def test_a_task_that_takes_the_row_is_shown_in_all_tabs(self, ask, user):
        request = ask(**{HEADER: TAB})
        request.user = user
        notify.send(request, "Queued", key="k")
        task_rows.save(TaskRun(user.pk, "Import", key="k", started_at=timezone.now()))
        (row,) = rows_of(user)
        assert (row.message, row.origin) == ("Import", "")


def test_by_default_all_tabs_show_it(ask):
    assert origin_of(ask(TAB, **{HEADER: TAB, "Sec-Fetch-Mode": "navigate"})) == ""


def test_it_is_no_argument_of_a_send(user):
    with pytest.raises(TypeError, match="has no argument 'origin'"):
        notify.send(user, "Hello", origin=TAB)  # type: ignore[call-arg]
