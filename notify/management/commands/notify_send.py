from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

import notify
from notify.exceptions import NotifyError
from notify.management.users import find
from notify.protocol import Level


class Command(BaseCommand):
    help = (
        "Notify a user, for example: manage.py notify_send alice 'Hello' --level success --url /x/"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="the username or primary key of the recipient")
        parser.add_argument("message")
        parser.add_argument("--level", default="info", choices=[level.value for level in Level])
        parser.add_argument("--title", default="")
        parser.add_argument("--category", default="")
        parser.add_argument("--url", default="")
        parser.add_argument(
            "--key", default="", help="replace the existing notification that has this key"
        )
        parser.add_argument("--data", help="JSON for your own code")
        parser.add_argument("--expires", type=float, metavar="SECONDS")

    def handle(self, *args: Any, user: str, message: str, **options: Any) -> None:
        known = {name: options[name] for name in ("level", "title", "category", "url", "key")}
        try:
            if options["data"]:
                known["data"] = json.loads(options["data"])
            if options["expires"] is not None:
                known["expires"] = timedelta(seconds=options["expires"])
        except (ValueError, OverflowError) as error:
            raise CommandError(
                f"--data must be JSON, and --expires a number of seconds: {error}"
            ) from error
        try:
            sent = notify.send(find(user), message, **known)
        except NotifyError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Sent notification {sent.pk} to {sent.recipient}.")
