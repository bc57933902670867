from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import notify
from notify.models import Mailbox, MailboxQuerySet
from tests.kit.mailboxes import Failing, assert_sound, contention, mailbox_of
from tests.kit.servers import PROJECT

pytestmark = [
    pytest.mark.database,
    pytest.mark.users,
    pytest.mark.django_db(transaction=True),
]


def run(*arguments: str) -> str:
    """Run the command. Returns its output."""
    output = io.StringIO()
    call_command("notify_check", *arguments, stdout=output)
    return output.getvalue()


def fail(*arguments: str) -> tuple[str, str]:
    """Run the command. Returns its output, and the error with which it ends."""
    output = io.StringIO()
    with pytest.raises(CommandError) as raised:
        call_command("notify_check", *arguments, stdout=output)
    assert raised.value.returncode == 1
    return output.getvalue(), str(raised.value)


@pytest.fixture
def wrong(user: Any) -> Any:
    """A user whose mailbox has wrong counts."""
    notify.send(user, "one")
    Mailbox.objects.update(unseen=3, unread=0)
    return user


def test_where_all_is_well_it_says_so(user):
    assert run() == "All mailboxes are consistent.\n"
    notify.send(user, "one")
    assert run() == run("--fix") == "All mailboxes are consistent.\n"


def test_each_finding_is_a_line(wrong):
    name = wrong.get_username()
    assert fail() == (
        f"{name}: unseen: 3, should be 1\n{name}: unread: 0, should be 1\n",
        "Findings: 2. Repair them with --fix.",
    )


def test_fix_repairs(wrong):
    name = wrong.get_username()
    assert run("--fix") == (
        f"{name}: unseen: 3, should be 1; repaired\n{name}: unread: 0, should be 1; repaired\n"
        "Findings: 2, all repaired.\n"
    )
    assert run() == "All mailboxes are consistent.\n"
    assert_sound(wrong)


def test_what_could_not_be_repaired_is_an_error(wrong, monkeypatch):
    lock = Failing(MailboxQuerySet.lock, 5, contention())
    monkeypatch.setattr(MailboxQuerySet, "lock", lambda self, pks: lock(self, pks))
    printed, error = fail("--fix")
    assert "repaired" not in printed
    assert error == "Findings that could not be repaired: 2. Run the command again."


def test_one_user_may_be_named(wrong, other_user):
    """The command takes a name or a key."""
    notify.send(other_user, "one")
    assert run("--user", other_user.get_username()) == "All mailboxes are consistent.\n"
    assert fail("--user", str(wrong.pk)) == fail("--user", wrong.get_username()) == fail()
    with pytest.raises(CommandError, match="User 'nobody' does not exist"):
        run("--user", "nobody")


def test_new_epoch_is_for_all_or_for_one(user, other_user):
    notify.send_many([user, other_user], "one")
    before = [mailbox_of(owner).epoch for owner in (user, other_user)]
    assert run("--new-epoch", "--user", user.get_username()) == (
        "Mailboxes with a new epoch: 1.\nAll mailboxes are consistent.\n"
    )
    between = [mailbox_of(owner).epoch for owner in (user, other_user)]
    assert between[0] > before[0]
    assert between[1] == before[1]
    assert run("--new-epoch") == "Mailboxes with a new epoch: 2.\nAll mailboxes are consistent.\n"
    after = [mailbox_of(owner).epoch for owner in (user, other_user)]
    assert all(new > old for new, old in zip(after, between, strict=True))


def test_after_a_new_epoch_it_checks_as_ever(wrong):
    """A backup may be inconsistent too."""
    printed, _ = fail("--new-epoch")
    assert printed.startswith("Mailboxes with a new epoch: 1.\n")
    assert "unseen: 3" in printed
    assert run("--new-epoch", "--fix").endswith("Findings: 2, all repaired.\n")
    assert_sound(wrong)


def test_the_process_ends_with_1(wrong):
    """Cron and scripts depend on it. After the repair, the status is 0."""
    command = [sys.executable, "-m", "django", "notify_check"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, env=environment())
    assert (done.returncode, done.stdout.count("\n")) == (1, 2), done.stderr
    assert re.search(r"Findings: 2\. Repair them with --fix\.", done.stderr)
    done = subprocess.run([*command, "--fix"], cwd=PROJECT, capture_output=True, env=environment())
    assert done.returncode == 0, done.stderr


def environment() -> dict[str, str]:
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
