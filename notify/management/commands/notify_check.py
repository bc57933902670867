"""Check that each mailbox is consistent with its notifications, and optionally repair it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from notify.mailbox import integrity
from notify.management.users import find


class Command(BaseCommand):
    help = (
        "Check that each mailbox is consistent with its notifications."
        " Exits with status 1 if any mailbox is left inconsistent."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", help="check only the user with this username or primary key")
        parser.add_argument("--fix", action="store_true", help="repair inconsistent mailboxes")
        parser.add_argument(
            "--new-epoch",
            action="store_true",
            help="first make every tab start over; use this after restoring a backup",
        )

    def handle(self, *args: Any, fix: bool, new_epoch: bool, **options: Any) -> None:
        recipients = [find(options["user"]).pk] if options["user"] else None
        if new_epoch:
            started = integrity.start_over(recipients)
            self.stdout.write(f"Mailboxes with a new epoch: {started}.")
        repaired = wrong = 0
        for finding in integrity.check(recipients, fix=fix):
            self.stdout.write(str(finding))
            repaired += finding.repaired
            wrong += not finding.repaired
        if wrong:
            raise CommandError(
                f"Findings that could not be repaired: {wrong}. Run the command again."
                if fix
                else f"Findings: {wrong}. Repair them with --fix."
            )
        self.stdout.write(
            f"Findings: {repaired}, all repaired." if repaired else "All mailboxes are consistent."
        )
