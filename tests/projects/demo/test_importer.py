"""From an uploaded file to customers and the notifications about it."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command

import notify
import notify.testing
from demo_project import importer, samples, tasks
from demo_project.models import Customer, Import
from notify.tracking.handle import Progress


@pytest.fixture
def upload(alice):
    def make(content, name="customers.csv"):
        content = content.encode() if isinstance(content, str) else content
        return Import.objects.create(user=alice, file=ContentFile(content, name), name=name)

    return make


def run(job):
    tasks.import_customers.call(job.pk)
    job.refresh_from_db()
    return job


def news(user):
    return [(row.level, row.title, row.message) for row in user.notify_notifications.order_by("pk")]


def test_a_clean_file(upload, alice):
    job = run(upload(samples.make("clean")))
    assert (job.status, job.imported, job.bad, job.errors) == ("finished", 1200, 0, [])
    assert job.columns == ["Name", "E-mail", "City", "Turnover"]
    assert Customer.objects.filter(source=job).count() == 1200
    assert news(alice) == [
        ("success", "Import finished", "1,200 rows imported from customers.csv.")
    ]
    notification = alice.notify_notifications.get()
    assert notification.url == f"/imports/{job.pk}/"
    assert notification.collapse_key == f"import-{job.pk}"


def test_a_messy_file(upload, alice):
    job = run(upload(samples.make("messy")))
    assert (job.encoding, job.delimiter) == ("cp1252", ";")
    assert (job.imported, job.bad, len(job.errors)) == (1180, 20, 20)
    assert job.errors[0]["line"] == 61
    assert job.customers.filter(name__contains="Hélène").exists()
    message = "1,180 rows imported from customers.csv. 20 rows could not be read."
    assert news(alice) == [("warning", "Import finished", message)]


def test_the_name_and_the_address_are_found_by_their_columns(upload):
    job = run(upload("id,EMAIL address,Full_Name\n7,ada@example.com,Ada\n8,,Bo\n"))
    assert [(row.name, row.email) for row in job.customers.all()] == [
        ("Ada", "ada@example.com"),
        ("Bo", ""),
    ]


def test_the_reasons_are_listed(upload):
    job = run(upload(f"name,email\n,a@example.com\n{'x' * 201},\nAda,ada at home\nBo,\n"))
    assert job.errors == [
        {"line": 2, "reason": "the name is missing"},
        {"line": 3, "reason": "the name has more than 200 characters"},
        {"line": 4, "reason": "“ada at home” is not an e-mail address"},
    ]
    assert job.imported == 1


def test_only_the_first_bad_rows_are_kept(upload):
    job = run(upload("name,email\n" + "Ada,x\n" * 250))
    assert (job.bad, len(job.errors)) == (250, importer.ERRORS_KEPT)
    assert job.level == "error"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "The file is empty."),
        ("name,email\n", "The file has column names, but no rows."),
        ("ada@example.com,Ada\n", "The first line has no column names"),
    ],
)
def test_a_file_that_is_no_table_fails_and_the_user_is_told(upload, alice, content, problem):
    job = run(upload(content))
    assert job.status == "failed"
    assert job.problem.startswith(problem)
    [(level, title, message)] = news(alice)
    assert (level, title) == ("error", "Import failed")
    assert message.startswith(f"customers.csv: {problem}")


def test_a_file_that_is_gone(upload, alice):
    job = upload("name\nAda\n")
    job.file.storage.delete(job.file.name)
    assert run(job).problem == "The file is no longer there. Please upload it again."
    assert [level for level, *_ in news(alice)] == ["error"]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (RuntimeError("the disk is full of secrets"), "Something went wrong on our side."),
        (SystemExit(), "The import was stopped."),
    ],
)
def test_a_crash_keeps_what_was_committed(upload, alice, monkeypatch, error, problem):
    """The second batch fails: the first stays, the user is notified, and the task fails."""
    create = Customer.objects.bulk_create

    def break_later(customers):
        if customers[0].line > importer.BATCH_SIZE:
            raise error
        return create(customers)

    monkeypatch.setattr(Customer.objects, "bulk_create", break_later)
    job = upload("name\n" + "Ada\n" * 1200)
    with pytest.raises(type(error)):
        run(job)
    job.refresh_from_db()
    assert (job.status, job.imported, job.problem) == ("failed", 500, problem)
    assert job.customers.count() == 500
    message = f"customers.csv: {problem} 500 rows imported from customers.csv."
    assert news(alice) == [("error", "Import failed", message)]


def test_its_user_may_stop_it(upload, alice, monkeypatch):
    """The customers imported so far stay."""
    seen = []

    def stop(progress):
        seen.append((progress.done, progress.total))
        if len(seen) == 2:
            progress._run.stored.cancel_asked = True
            check(progress)

    check = Progress.check
    monkeypatch.setattr(Progress, "check", stop)
    job = run(upload("name\n" + "Ada\n" * 1200))
    assert (job.status, job.imported) == ("failed", 1000)
    message = "customers.csv: You stopped the import. 1,000 rows imported from customers.csv."
    assert news(alice) == [("warning", "Importing customers.csv", message)]
    assert seen[0] <= seen[1]
    assert seen[1] <= (1, 1)


def test_an_import_is_run_once(upload, alice):
    job = upload("name\nAda\n")
    run(job)
    run(job)
    assert job.customers.count() == 1
    assert len(news(alice)) == 1


def test_an_import_that_is_gone(db):
    tasks.import_customers.call(404)


def test_a_long_name_fits_into_the_message(upload):
    job = run(upload("name\nAda\n", name=f"{'customers' * 20}.csv"))
    assert len(importer.summary(job)) < 120


@pytest.mark.django_db(transaction=True)
def test_the_worker_imports_and_the_inbox_has_it(upload, alice):
    tasks.import_customers.enqueue(upload("name\nAda\n").pk)
    call_command(
        "db_worker", batch=True, reload=False, startup_delay=False, verbosity=0, stdout=StringIO()
    )
    assert notify.testing.flush()
    [notification] = notify.inbox.snapshot(alice).notifications
    assert notification.message == "1 row imported from customers.csv."
