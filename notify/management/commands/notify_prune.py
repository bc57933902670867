"""Archive and delete old notifications. Run this command from a scheduler."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from notify.mailbox import retention


class Command(BaseCommand):
    help = "Archive and delete old notifications, according to the NOTIFY_RETENTION_* settings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="print what would be done, without changing anything",
        )
        parser.add_argument(
            "--batch-size",
            type=above_zero,
            default=retention.ROWS_AT_ONCE,
            metavar="ROWS",
            help="maximum rows that one transaction archives or deletes (default: %(default)s)",
        )

    def handle(self, *args: Any, dry_run: bool, batch_size: int, **options: Any) -> None:
        try:
            done = retention.run(dry_run=dry_run, batch_size=batch_size)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        what = "Notifications that would be archived" if dry_run else "Notifications archived"
        self.stdout.write(
            f"{what}: {done.archived} ({done.expired} expired, {done.read} read,"
            f" {done.unread} unread), deleted: {done.deleted}."
        )
        if done.failed:
            raise CommandError(
                f"Mailboxes skipped because other transactions had locked them: {done.failed}."
                " Run the command again."
            )


def above_zero(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("must be 1 or more")
    return number
