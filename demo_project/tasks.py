"""The worker's tasks. Django 6 has the Tasks API built in; for Django 5.2 it is a separate package."""

from __future__ import annotations

from contextlib import suppress

from django.contrib.auth import get_user_model

import notify

from . import importer

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task


def progress_of(job, **options):
    """The progress of an import. The view that queues it and the worker share one notification by its key."""
    return notify.progress(
        job.user,
        f"Importing {importer.short(job.name)}",
        url=job,
        key=f"import-{job.pk}",
        cancellable=True,
        **options,
    )


@task
def import_customers(import_id):
    """Import an uploaded file and notify its user of the result, including failures."""
    if not (job := importer.claim(import_id)):
        return
    with suppress(notify.Cancelled), progress_of(job) as progress:
        try:
            importer.run(job, progress)
        finally:
            job.save()  # before the notification, which links to it
            if progress.is_cancelled:
                progress.cancel(importer.summary(job))
            elif job.status == job.Status.FAILED:
                progress.fail(importer.summary(job), title="Import failed")
            else:
                progress.succeed(importer.summary(job), title="Import finished", level=job.level)


@task
def close_the_month(user_id):
    """A task so short that it ends while the browser still follows the redirect."""
    user = get_user_model().objects.get(pk=user_id)
    notify.success(user, "The month is closed and its report is ready.", url="redirected")
