"""The common parts of the push transports over HTTP."""

from __future__ import annotations

import asyncio

import pytest

from notify.protocol import CloseCode
from notify.transports import http
from tests.kit.fakes import EPOCH, at, settle


class Answer:
    def __init__(self):
        self.status = None
        self.headers = {}
        self.body = None

    async def send(self, part):
        if part["type"] == "http.response.start":
            self.status = part["status"]
            self.headers = {name.decode(): value.decode() for name, value in part["headers"]}
        else:
            assert "more_body" not in part
            self.body = part["body"].decode()


# -- The request ---------------------------------------------------------------------------------


def asked(text):
    return {"query_string": text.encode()}


def test_a_parameter_that_is_given_twice_is_the_last():
    assert http.query(asked("wait=1&since=x&wait=2"), "wait") == "2"
    assert http.query(asked("wait="), "wait") == http.query(asked("wait"), "wait") == ""
    assert http.query(asked("await=1"), "wait") is None
    assert http.query({}, "wait") is None


def test_a_query_is_parsed_once(monkeypatch):
    scope = asked("since=x&wait=1")
    assert http.query(scope, "wait") == "1"
    monkeypatch.setattr(http, "parse_qsl", lambda *args, **kwargs: 1 / 0)
    assert http.query(scope, "since") == "x"
    assert http.query(scope, "until") is None


@pytest.mark.parametrize("text", ["wait=1" + "&a" * 100, "wait=1&a=" + "a" * 8192])
def test_an_overlong_query_is_not_read(monkeypatch, text):
    monkeypatch.setattr(http, "parse_qsl", lambda text, **kwargs: [] if not text else 1 / 0)
    assert http.is_overlong(asked(text))
    assert http.query(asked(text), "wait") is None


@pytest.mark.parametrize("text", ["", "wait=1" + "&a" * 99, "wait=1&a=" + "a" * 8183])
def test_a_query_within_the_bounds_is_read(text):
    """Some middleware of the site may expect a long token there."""
    assert not http.is_overlong(asked(text))
    assert http.query(asked(text), "wait") == ("1" if text else None)


def test_a_cursor_that_cannot_be_read_is_none():
    assert http.since_of(asked(f"since={EPOCH}:5")) == at(5)
    assert http.since_of(asked(f"since={EPOCH}%3A5")) == at(5)
    assert http.since_of(asked("since=%ff&since=x")) is None
    assert http.since_of(asked("")) is None
    assert http.cursor_or_none(None) is http.cursor_or_none("x") is None


# -- The response --------------------------------------------------------------------------------


async def test_an_answer_is_nobody_else_s():
    answer = Answer()
    await http.answer(answer.send, 200, '{"ü":1}')
    assert (answer.status, answer.body) == (200, '{"ü":1}')
    assert answer.headers == {
        "cache-control": "no-cache, no-store, no-transform, private",
        "content-length": "8",
        "content-type": "application/json",
        "vary": "Cookie",
        "x-content-type-options": "nosniff",
    }


async def test_an_answer_without_a_body_has_no_type():
    answer = Answer()
    await http.answer(answer.send, 204)
    assert answer.body == ""
    assert not {"content-type", "content-length"} & {*answer.headers}


@pytest.mark.parametrize("code", CloseCode)
async def test_each_close_code_has_its_status(code):
    """A client that may come back is told when. Otherwise the status is below 500."""
    answer = Answer()
    await http.refuse(answer.send, code)
    assert answer.status == http.REFUSALS[code].status
    assert (answer.status == 503) == (code < 4500) == ("retry-after" in answer.headers)


async def test_those_who_are_refused_together_do_not_return_together():
    pauses = set()
    for _ in range(200):
        answer = Answer()
        await http.refuse(answer.send, CloseCode.TOO_MANY)
        pauses.add(int(answer.headers["retry-after"]))
    assert (min(pauses), max(pauses), len(pauses)) == (10, 20, 11)


@pytest.mark.parametrize(("interval", "seconds"), [(5.0, "5"), (0.2, "1"), (7.5, "8")])
def test_what_is_not_held_is_asked_again_when_a_poll_would(interval, seconds, settings):
    settings.NOTIFY_POLL_INTERVAL = interval
    assert http.retry_after() == seconds


# -- The end -------------------------------------------------------------------------------------


async def test_a_client_is_gone_when_its_server_says_so():
    events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    gone = asyncio.ensure_future(http.disconnected(events.get))
    events.put_nowait({"type": "http.request"})
    await settle()
    assert not gone.done()
    events.put_nowait({"type": "http.disconnect"})
    await gone


async def for_ever():
    await asyncio.Event().wait()


async def test_the_first_of_two_works_ends_the_other():
    ended = []

    async def other():
        try:
            await for_ever()
        finally:
            ended.append(True)

    await http.either(other(), asyncio.sleep(0))
    assert ended == [True]


async def test_an_error_in_a_work_is_told():
    async def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await http.either(for_ever(), fails())


async def test_a_client_that_is_gone_is_no_error():
    """ASGI servers raise an error if the application still writes."""

    async def fails():
        raise ConnectionResetError

    await http.either(for_ever(), fails())


async def test_who_is_cancelled_ends_both():
    before = len(asyncio.all_tasks())
    work = asyncio.ensure_future(http.either(for_ever(), for_ever()))
    await settle()
    assert len(asyncio.all_tasks()) == before + 3
    work.cancel()
    await asyncio.wait([work])
    assert len(asyncio.all_tasks()) == before


def test_every_close_code_is_refused_by_a_status_of_its_meaning():
    """503 with a pause means to come back. Any other status means not to."""
    assert {*http.REFUSALS} == {*CloseCode}
    for code, refusal in http.REFUSALS.items():
        assert (refusal.status == 503) == (refusal.pause > 0) == (code < 4500)
        document = refusal.document()
        assert (document["type"], document["ref"], document["code"]) == (
            "error",
            None,
            refusal.code,
        )
