"""What the worker does. Django 6 has the Tasks API; before that, it is a package of its own."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db import transaction

import notify

from . import importer

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task


@task
def import_customers(import_id):
    """Import an uploaded file and tell its user how it went, also when it went wrong."""
    if job := importer.claim(import_id):
        try:
            importer.run(job)
        finally:
            # Committed together: no outcome without the news of it, and no news before it.
            with transaction.atomic():
                job.save()
                notify.send(
                    job.user,
                    importer.summary(job),
                    title="Import failed" if job.status == job.Status.FAILED else "Import finished",
                    level=job.level,
                    url=job,
                    key=f"import-{job.pk}",
                )


@task
def close_the_month(user_id):
    """A task so short that it ends while the browser still follows the redirect."""
    user = get_user_model().objects.get(pk=user_id)
    notify.success(user, "The month is closed and its report is ready.", url="redirected")
