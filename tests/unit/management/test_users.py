from __future__ import annotations

import pytest
from django.core.management import CommandError

from notify.management.users import find

pytestmark = [pytest.mark.django_db, pytest.mark.users]


def test_a_user_is_found_by_the_name_he_signs_in_with_or_by_key(user, other_user):
    assert find(other_user.get_username()) == find(str(other_user.pk)) == other_user


def test_nobody_is_a_command_error(user):
    with pytest.raises(
        CommandError, match=r"User 'nobody' does not exist\. Specify a \w+ or a primary key"
    ):
        find("nobody")
