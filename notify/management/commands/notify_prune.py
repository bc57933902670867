"""Archive what is old, and delete what was archived for long enough: for cron or a task scheduler."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from notify.mailbox import retention as prune


class Command(BaseCommand):
    help = "Archive and delete old notifications, by the settings NOTIFY_RETENTION_*."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="only say what would be done; write nothing"
        )
        parser.add_argument(
            "--batch-size",
            type=above_zero,
            default=prune.ROWS_AT_ONCE,
            metavar="ROWS",
            help="rows that one transaction archives or deletes at most (default %(default)s)",
        )

    def handle(self, *args: Any, dry_run: bool, batch_size: int, **options: Any) -> None:
        try:
            done = prune.run(dry_run=dry_run, batch_size=batch_size)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        what = "Notifications that would be archived" if dry_run else "Notifications archived"
        self.stdout.write(
            f"{what}: {done.archived} ({done.expired} expired, {done.read} read,"
            f" {done.unread} unread), deleted: {done.deleted}."
        )
        if done.failed:
            raise CommandError(
                f"Mailboxes that others had locked for too long: {done.failed}. Run it again."
            )


def above_zero(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("give 1 or more")
    return number
