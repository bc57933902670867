"""Prove that the mailboxes are what their notifications say, and repair them."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from notify.mailbox import integrity
from notify.management.users import find


class Command(BaseCommand):
    help = "Check that the mailboxes are what their notifications say. Exits with 1 if one is not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", help="only this one: the name, as used to sign in, or key")
        parser.add_argument("--fix", action="store_true", help="repair what does not hold")
        parser.add_argument(
            "--new-epoch",
            action="store_true",
            help="before, let every tab start over: after a backup was restored",
        )

    def handle(self, *args: Any, fix: bool, new_epoch: bool, **options: Any) -> None:
        recipients = [find(options["user"]).pk] if options["user"] else None
        if new_epoch:
            started = integrity.start_over(recipients)
            self.stdout.write(f"Mailboxes that start over: {started}.")
        repaired = wrong = 0
        for finding in integrity.check(recipients, fix=fix):
            self.stdout.write(str(finding))
            repaired += finding.repaired
            wrong += not finding.repaired
        if wrong:
            raise CommandError(
                f"Findings that could not be repaired: {wrong}. Try again."
                if fix
                else f"Findings: {wrong}. Repair them with --fix."
            )
        self.stdout.write(f"Findings: {repaired}, all repaired." if repaired else "All is well.")
