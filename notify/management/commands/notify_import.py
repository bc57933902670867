"""Copy the notifications of django-notifications-hq or django-notifications-community."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from notify.db import PUBLISH_BATCH_SIZE
from notify.management.commands.notify_prune import above_zero
from notify.management.foreign import Copied, Copying


class Command(BaseCommand):
    help = (
        "Copy the notifications of django-notifications-hq or django-notifications-community."
        " What an earlier run has copied is not copied again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="print what would be done, without changing anything",
        )
        parser.add_argument(
            "--since",
            type=moment,
            metavar="DATE",
            help="copy only notifications from this date or time on, such as 2025-12-31",
        )
        parser.add_argument(
            "--deleted",
            action="store_true",
            help="copy also what users have deleted, into their archive",
        )
        parser.add_argument(
            "--urls",
            action="store_true",
            help="link each copy to the get_absolute_url() of its target or action object",
        )
        parser.add_argument(
            "--batch-size",
            type=above_zero,
            default=PUBLISH_BATCH_SIZE,
            metavar="ROWS",
            help="maximum rows that one transaction copies (default: %(default)s)",
        )

    def handle(self, *args: Any, since: datetime | None, **options: Any) -> None:
        copying = Copying(
            since=since,
            with_deleted=options["deleted"],
            with_urls=options["urls"],
            dry_run=options["dry_run"],
            batch_size=options["batch_size"],
        )
        try:
            done = copying.run()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        self.stdout.write(summary(done, dry_run=copying.dry_run))
        for number, what in ((done.without_data, "their data"), (done.without_url, "a link")):
            if number:
                self.stderr.write(f"Copies without {what}, which notify cannot store: {number}.")
        if done.failed:
            raise CommandError(
                f"Users skipped because other transactions had locked their mailboxes: {done.failed}."
                " Run the command again."
            )


def summary(done: Copied, *, dry_run: bool) -> str:
    what = "Notifications that would be copied" if dry_run else "Notifications copied"
    return (
        f"{what}: {done.copied}, of {done.users} users"
        f" (already copied: {done.present}, deleted by their users: {done.deleted})."
    )


def moment(text: str) -> datetime:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date such as 2025-12-31") from None
    if settings.USE_TZ and timezone.is_naive(given):
        return timezone.make_aware(given)
    if not settings.USE_TZ and timezone.is_aware(given):
        return timezone.make_naive(given)
    return given
