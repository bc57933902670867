from __future__ import annotations

import io
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from notify.management.commands import notify_import
from notify.management.commands.notify_import import moment
from notify.management.foreign import Copied, Copying


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Copying]:
    """The runs that the command began. Each ends with the next of ``results``."""
    begun: list[Copying] = []
    results = iter(
        [
            Copied(copied=5, present=2, deleted=1, users=3),
            Copied(copied=4, users=1, without_data=2, without_url=1, failed=3),
        ]
    )

    class Recorder(Copying):
        def run(self) -> Copied:
            begun.append(self)
            return next(results)

    monkeypatch.setattr(notify_import, "Copying", Recorder)
    return begun


def run(*arguments: str) -> tuple[str, str]:
    """Run the command. Returns its output and its warnings."""
    output, warnings = io.StringIO(), io.StringIO()
    call_command("notify_import", *arguments, stdout=output, stderr=warnings)
    return output.getvalue(), warnings.getvalue()


def test_it_says_what_it_did_in_one_line(runs):
    assert run() == (
        "Notifications copied: 5, of 3 users (already copied: 2, deleted by their users: 1).\n",
        "",
    )
    [copying] = runs
    assert asdict(copying) == asdict(Copying(batch_size=500))
    assert not copying.dry_run


def test_all_options_arrive(runs):
    options = ["--dry-run", "--deleted", "--urls", "--batch-size", "7", "--since", "2025-12-31"]
    output, _ = run(*options)
    assert output.startswith("Notifications that would be copied: 5, of 3 users")
    [copying] = runs
    assert (copying.batch_size, copying.since) == (7, moment("2025-12-31"))
    assert copying.with_deleted
    assert copying.with_urls
    assert copying.dry_run


def test_what_was_left_out_is_a_warning_or_an_error(runs):
    run()
    output, warnings = io.StringIO(), io.StringIO()
    with pytest.raises(
        CommandError, match=r"had locked their mailboxes: 3\. Run the command again"
    ):
        call_command("notify_import", stdout=output, stderr=warnings)
    assert warnings.getvalue() == (
        "Copies without their data, which notify cannot store: 2.\n"
        "Copies without a link, which notify cannot store: 1.\n"
    )


def test_without_the_package_the_error_says_what_to_install():
    with pytest.raises(CommandError, match="Keep django-notifications-hq"):
        run()


@pytest.mark.parametrize("arguments", [("--since", "soon"), ("--batch-size", "0")])
def test_a_wrong_option_is_refused(arguments):
    with pytest.raises(CommandError, match=arguments[0]):
        run(*arguments)


@pytest.mark.parametrize("use_tz", [True, False])
def test_a_date_is_in_the_time_zone_of_the_site(settings: Any, use_tz):
    settings.USE_TZ = use_tz
    settings.TIME_ZONE = "Europe/Berlin"
    assert timezone.is_aware(moment("2025-12-31")) == use_tz
    assert timezone.is_aware(moment("2025-12-31T12:00:00Z")) == use_tz
    in_berlin = datetime(2025, 12, 31, 13)
    aware = moment("2025-12-31T12:00:00Z")
    assert aware == (datetime(2025, 12, 31, 12, tzinfo=UTC) if use_tz else in_berlin)
