"""Turn an uploaded file into customers: streamed, committed every 500 rows, bad rows listed."""

from __future__ import annotations

import logging
from itertools import islice

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import reset_queries, transaction
from django.utils import timezone

import notify

from . import csvfile
from .models import Customer, Import

BATCH_SIZE = 500  # rows in a transaction
ERRORS_KEPT = 100

NAMES = {"name", "customer", "customer name", "full name", "company", "company name"}
EMAILS = {"email", "e-mail", "mail", "email address", "e-mail address"}

logger = logging.getLogger(__name__)


def claim(import_id) -> Import | None:
    """Take a waiting import; None if it is gone or taken."""
    waiting = Import.objects.filter(pk=import_id, status=Import.Status.QUEUED)
    if waiting.update(status=Import.Status.RUNNING, started_at=timezone.now()):
        return Import.objects.get(pk=import_id)
    return None


def run(job: Import, progress) -> None:
    """Import the file of a claimed job. The outcome is set, and left to the caller to save."""
    try:
        read(job, progress)
    except (csvfile.Unreadable, FileNotFoundError) as error:
        fail(job, error)
    except BaseException as error:  # also SystemExit, with which a stopped worker leaves a task
        fail(job, error)
        raise
    else:
        job.status = Import.Status.FINISHED
    finally:
        job.finished_at = timezone.now()


def read(job: Import, progress) -> None:
    with job.file.open("rb") as file:
        progress.total = 1  # in bytes nobody wants to know it: a share is shown in percent
        table = csvfile.Table(file)
        job.encoding, job.delimiter, job.columns = table.encoding, table.delimiter, table.columns
        name, email = find(NAMES, table.columns, default=0), find(EMAILS, table.columns)
        while rows := list(islice(table, BATCH_SIZE)):
            customers = []
            for row in rows:
                problem = row.problem or problem_of(row.cells, name, email)
                if problem:
                    count_bad(job, row.line, problem)
                    continue
                customers.append(
                    Customer(
                        source=job,
                        line=row.line,
                        name=row.cells[name],
                        email="" if email is None else row.cells[email],
                        cells=row.cells,
                    )
                )
            job.imported += len(customers)
            with transaction.atomic():
                Customer.objects.bulk_create(customers)
                job.save()
            progress.update(done=file.tell() / job.file.size)
            progress.check()
            reset_queries()  # in DEBUG, Django keeps every statement, here with all its rows
    if not job.imported and not job.bad:
        raise csvfile.Unreadable("The file has column names, but no rows.")


def find(names, columns, default=None) -> int | None:
    """Return the index of the first column with one of the names."""
    for index, column in enumerate(columns):
        if column.casefold().replace("_", " ") in names:
            return index
    return default


def problem_of(cells, name, email) -> str:
    if not cells[name]:
        return "the name is missing"
    if len(cells[name]) > 200:
        return "the name has more than 200 characters"
    if email is not None and cells[email]:
        try:
            validate_email(cells[email])
        except ValidationError:
            return f"“{cells[email][:80]}” is not an e-mail address"
    return ""


def count_bad(job, line, problem):
    job.bad += 1
    if len(job.errors) < ERRORS_KEPT:
        job.errors.append({"line": line, "reason": problem})


def fail(job: Import, error: BaseException) -> None:
    """What was committed stays; what the broken batch counted does not."""
    job.refresh_from_db()
    job.status = Import.Status.FAILED
    if isinstance(error, csvfile.Unreadable):
        job.problem = str(error)
    elif isinstance(error, FileNotFoundError):
        job.problem = "The file is no longer there. Please upload it again."
    elif isinstance(error, notify.Cancelled):
        job.problem = "You stopped the import."
    elif isinstance(error, Exception):
        logger.exception("%s broke", job)
        job.problem = "Something went wrong on our side."
    else:
        job.problem = "The import was stopped."


def short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:40]}…{name[-15:]}"


def summary(job: Import) -> str:
    """One sentence or two on the outcome, for the notification."""
    name = short(job.name)
    sentences = []
    if job.status == Import.Status.FAILED:
        sentences.append(f"{name}: {job.problem}")
    if job.imported or not sentences:
        sentences.append(f"{count(job.imported)} imported from {name}.")
    if job.bad:
        sentences.append(f"{count(job.bad)} could not be read.")
    return " ".join(sentences)


def count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"
