from __future__ import annotations

import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_the_users_are_made_once(django_user_model, capsys):
    """A second run does not change them."""
    call_command("demo_users")
    django_user_model.objects.filter(username="bob").update(email="bob@example.com")
    call_command("demo_users")
    assert "alice, bob, admin" in capsys.readouterr().out
    users = {user.username: user for user in django_user_model.objects.all()}
    assert users.keys() == {"alice", "bob", "admin"}
    assert all(user.check_password("demo") for user in users.values())
    assert [name for name, user in users.items() if user.is_staff] == ["admin"]
    assert users["bob"].email == "bob@example.com"
