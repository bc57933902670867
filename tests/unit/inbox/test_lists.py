"""The lists of the inbox: their order, places and filters, and the cost of a page."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import notify
from notify import inbox
from notify.inbox import lists
from notify.models import LISTS, Mailbox, Notification
from notify.tracking import rows as task_rows
from notify.tracking.run import TaskRun
from tests.kit.mailboxes import leave_waiting, mailbox_of

pytestmark = [pytest.mark.database, pytest.mark.users, pytest.mark.django_db(transaction=True)]


def texts(page: inbox.InboxPage) -> list[str]:
    return [row.message for row in page.notifications]


def all_pages(user: Any, view: inbox.View, limit: int = 2) -> list[str]:
    found, place = [], ""
    while True:
        page = inbox.page(user, view, before=place, limit=limit)
        found += texts(page)
        if not page.next:
            return found
        place = page.next


def fill(user: Any, number: int, **marks: Any) -> None:
    """Store published rows quickly, and count them."""
    at = mailbox_of(user).head if Mailbox.objects.filter(pk=user.pk).exists() else 0
    Notification.objects.bulk_create(
        [
            Notification(
                recipient=user, message=f"old {n}", position=at + n, arrived=at + n, **marks
            )
            for n in range(1, number + 1)
        ],
        batch_size=5000,
    )
    Mailbox.objects.filter(pk=user.pk).delete()
    Mailbox.objects.ensure([user.pk])


# -- The lists -----------------------------------------------------------------------------------


def test_each_view_has_its_rows_and_the_newest_first(user, other_user):
    rows = {text: notify.send(user, text) for text in ("read", "archived", "unread", "seen")}
    notify.send(other_user, "of another")
    inbox.mark_read(user, [rows["read"]])
    inbox.mark_archived(user, [rows["archived"]])
    inbox.mark_seen(user, [rows["seen"]])
    assert texts(inbox.page(user)) == ["seen", "unread", "read"]
    assert texts(inbox.page(user, "unread")) == ["seen", "unread"]
    assert texts(inbox.page(user, "archived")) == ["archived"]
    page = inbox.page(user)
    assert page.counts == inbox.counts(user) == (1, 2)
    assert page.cursor == mailbox_of(user).cursor


def test_new_content_moves_a_row_to_the_front_and_a_mark_does_not(user):
    first = notify.send(user, "one", key="k")
    notify.send(user, "two")
    inbox.mark_read(user, [first])
    assert texts(inbox.page(user)) == ["two", "one"]
    notify.send(user, "one again", key="k")
    assert texts(inbox.page(user)) == ["one again", "two"]


def test_a_place_is_kept_while_rows_arrive_and_leave(user):
    rows = [notify.send(user, str(number)) for number in range(5)]
    first = inbox.page(user, limit=2)
    assert texts(first) == ["4", "3"]
    notify.send(user, "new")
    inbox.mark_archived(user, [rows[4], rows[2]])
    assert texts(inbox.page(user, before=first.next, limit=2)) == ["1", "0"]
    assert texts(inbox.page(user, before=int(first.next), limit=2)) == ["1", "0"]


@pytest.mark.parametrize("view", lists.VIEWS)
def test_all_pages_together_are_the_list(view, user):
    fill(user, 5, archived_at=timezone.now() if view == "archived" else None)
    assert all_pages(user, view) == [f"old {n}" for n in (5, 4, 3, 2, 1)]
    assert inbox.page(user, view, limit=5).next == ""


def test_a_category_narrows_the_list(user):
    for number in range(3):
        notify.send(user, f"order {number}", category="orders")
        notify.send(user, f"other {number}", category="others")
    page = inbox.page(user, category="orders", limit=2)
    assert texts(page) == ["order 2", "order 1"]
    assert texts(inbox.page(user, category="orders", before=page.next)) == ["order 0"]
    assert page.counts == (6, 6)


def test_a_page_publishes_and_expires_first(user, clock):
    """As every reader does."""
    notify.send(user, "short", expires=timedelta(minutes=1))
    leave_waiting(user, "waiting")
    assert texts(inbox.page(user)) == ["waiting", "short"]
    clock.forward(minutes=2)
    assert texts(inbox.page(user)) == ["waiting"]


def test_what_has_expired_or_was_retracted_is_in_no_list(user, clock):
    notify.send(user, "short", expires=timedelta(minutes=1))
    notify.send(user, "untrue", key="k")
    kept = notify.send(user, "archived in time", expires=timedelta(minutes=1))
    inbox.mark_archived(user, [kept])
    notify.retract(user, "k")
    clock.forward(minutes=2)
    assert [texts(inbox.page(user, view)) for view in lists.VIEWS] == [[], [], ["archived in time"]]


def test_a_waiting_row_is_in_no_list(user):
    with_rows = notify.send(user, "published")
    assert with_rows.position
    leave_waiting(user, "waiting")
    rows = Notification.objects.filter(LISTS["all"][0], arrived__isnull=False)
    assert [row.message for row in rows] == ["published"]


def test_who_has_no_mailbox_has_an_empty_inbox(user):
    page = inbox.page(user)
    assert (page.notifications, page.counts, page.next, page.cursor) == ([], (0, 0), "", None)


def test_the_twin_reads_the_same(user):
    notify.send(user, "one")
    assert texts(async_to_sync(inbox.apage)(user)) == ["one"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"view": "unseen"}, "view='unseen' is not a list"),
        ({"limit": 0}, "limit=0 must be"),
        ({"limit": 101}, "limit=101 must be"),
        ({"limit": "25"}, "limit='25' must be"),
        ({"before": "x"}, "before='x' is not a place"),
        ({"before": "-1"}, "before='-1' is not a place"),
        ({"before": "٣"}, "is not a place"),
        ({"before": True}, "before='True' is not a place"),
        ({"before": "9" * 17}, "is not a place"),
        ({"before": 2**53}, "is not a place"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named, user):
    with pytest.raises(ValueError, match=named):
        inbox.page(user, **arguments)


# -- The cost ------------------------------------------------------------------------------------


def test_a_page_takes_two_queries(user):
    fill(user, 3)
    for view in lists.VIEWS:
        with CaptureQueriesContext(connection) as queries:
            rows = inbox.page(user, view).notifications
            assert all(row.encode() for row in rows)
        assert len(queries) == 2


@pytest.mark.parametrize("category", ["", "orders"])
@pytest.mark.parametrize("view", lists.VIEWS)
def test_a_page_reads_an_index_from_its_place_and_sorts_nothing(view, category, user, monkeypatch):
    """Its cost does not depend on the number of rows. The plan is the database's own."""
    others = get_user_model().objects.exclude(pk=user.pk)
    assert not others.exists()
    moment = timezone.now()
    for marks in ({}, {"read_at": moment}, {"archived_at": moment}):
        fill(user, 1000, category="orders", **marks)
    analyse()
    plans = []
    fetch = QuerySet._fetch_all

    def explain(query: Any) -> None:
        if query.model is Notification and query._result_cache is None:
            plans.append(plan_of(query))
        fetch(query)

    monkeypatch.setattr(QuerySet, "_fetch_all", explain)
    page = inbox.page(user, view, category=category)
    inbox.page(user, view, category=category, before=page.next)
    assert len(plans) == 2
    for plan in plans:
        assert f"notify_list_{view}" in plan, plan
        assert "sort" not in plan.lower(), plan
        assert "temp b-tree" not in plan.lower(), plan


def test_a_category_is_exact(user):
    """MariaDB's usual collations ignore case, accents and trailing spaces."""
    for name in ("orders", "Orders", "orders ", "órders"):
        notify.send(user, name, category=name)
    assert texts(inbox.page(user, category="orders")) == ["orders"]
    assert texts(inbox.page(user, category="Orders")) == ["Orders"]
    assert texts(inbox.page(user, category="orders ")) == ["orders "]


def analyse() -> None:
    table = Notification._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {'TABLE ' * (connection.vendor == 'mysql')}{table}")


def plan_of(query: QuerySet[Any]) -> str:
    """The plan of a query, as the text or JSON of the database."""
    if connection.vendor != "mysql":
        return query.explain()
    sql, parameters = query.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN FORMAT=JSON {sql}", parameters)
        return json.dumps(json.loads(cursor.fetchone()[0]))


def test_a_task_is_found_by_its_exact_key(user, other_user):
    """A notification that is archived, has no progress, or belongs to another user is not found."""
    task_rows.save(TaskRun(user.pk, "Import", key="k", started_at=timezone.now()))
    task_rows.save(TaskRun(other_user.pk, "Other", key="x", started_at=timezone.now()))
    notify.send(user, "No task", key="n")
    found = lists.task_of(user.pk, "k")
    assert found
    assert found.message == "Import"
    assert [lists.task_of(user.pk, key) for key in ("K", "k ", "n", "x")] == [None] * 4
    inbox.mark_archived(user)
    assert lists.task_of(user.pk, "k") is None
