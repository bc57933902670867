"""Resolving one recipient, or several, and rejecting what is no recipient."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group
from django.contrib.sessions.models import Session
from django.db.migrations.state import ProjectState
from django.http import HttpRequest
from django.utils import timezone as django_timezone
from django.utils.functional import SimpleLazyObject

from notify.exceptions import InvalidRecipient, RecipientNotSaved
from notify.sending import recipients

pytestmark = pytest.mark.users


# -- One recipient -------------------------------------------------------------------------------


def test_a_user_is_a_recipient_without_a_query(user, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert recipients.one(user) == user.pk


def test_a_primary_key_is_a_recipient(user):
    """It is looked up, because the database has no constraint that would reject a wrong key."""
    assert recipients.one(user.pk) == user.pk


def test_one_who_may_be_gone_is_not_looked_up(user, rf, django_assert_num_queries):
    """For disconnecting: the user may have been deleted, so that only the primary key is left."""
    request = rf.get("/")
    request.user = user
    gone = uuid.uuid4() if settings.USER == "uuid" else 987654
    with django_assert_num_queries(0):
        for to, key in [(user, user.pk), (str(user.pk), user.pk), (request, user.pk), (gone, gone)]:
            assert str(recipients.one(to, must_exist=False)) == str(key)
    for wrong in ([user], None, 1.5):
        with pytest.raises(TypeError):
            recipients.one(wrong, must_exist=False)
    with pytest.raises(InvalidRecipient):
        recipients.one(AnonymousUser(), must_exist=False)


def test_a_primary_key_may_be_text(user):
    """A URL or a form provides text."""
    assert recipients.one(str(user.pk)) == user.pk


def test_a_request_stands_for_its_user(user, rf):
    request = rf.get("/")
    request.user = user
    assert recipients.one(request) == user.pk


def test_the_lazy_user_of_a_request_is_a_recipient(user, rf):
    request = rf.get("/")
    request.user = SimpleLazyObject(lambda: user)
    assert recipients.one(request) == user.pk
    assert recipients.one(request.user) == user.pk


def test_a_request_may_be_wrapped(user, rf):
    """The request of Django REST framework determines its own user."""

    class Wrapped:
        def __init__(self, request: HttpRequest) -> None:
            self._request = request
            self.user = user

    assert recipients.one(Wrapped(rf.get("/"))) == user.pk


def test_a_request_without_a_user_names_the_middleware(rf):
    with pytest.raises(InvalidRecipient, match="AuthenticationMiddleware"):
        recipients.one(rf.get("/"))


@pytest.mark.parametrize("anonymous", [AnonymousUser(), SimpleLazyObject(AnonymousUser)])
def test_nobody_is_no_recipient(anonymous, rf):
    """An anonymous user has no mailbox, whether passed alone, in a request, or among others."""
    request = rf.get("/")
    request.user = anonymous
    for call, to in [
        (recipients.one, anonymous),
        (recipients.one, request),
        (recipients.many, [anonymous]),
    ]:
        with pytest.raises(InvalidRecipient, match=r"is_authenticated"):
            call(to)


def test_an_unsaved_user_is_no_recipient(user):
    """This also holds if its primary key was set by hand."""
    model = get_user_model()
    for unsaved in (model(), model(pk=user.pk)):
        for call, to in ((recipients.one, unsaved), (recipients.many, [user, unsaved])):
            with pytest.raises(RecipientNotSaved, match="Save it before"):
                call(to)


@pytest.mark.parametrize(
    "key", [-1, 2**63 - 1, 2**70, "x", "", "\x00", "\ud800", uuid.UUID(int=2**127)]
)
def test_the_key_of_no_user_is_named(key, user):
    """The key is shown as the database would read it: 7 is the UUID that ends in 7."""
    read = (
        uuid.UUID(int=key)
        if isinstance(user.pk, uuid.UUID) and type(key) is int and key > 0
        else key
    )
    with pytest.raises(InvalidRecipient) as caught:
        recipients.one(key)
    assert repr(read) in str(caught.value) or repr(str(read)) in str(caught.value)
    with pytest.raises(InvalidRecipient):
        recipients.many([user, key])


@pytest.mark.parametrize("wrong", [None, True, False, 1.0, float("inf"), b"1"])
def test_what_is_no_key_at_all_is_a_type_error(wrong, user):
    """``True`` is not user 1, and neither is ``1.5``."""
    with pytest.raises(TypeError, match="A recipient must be a user, a primary key or a request"):
        recipients.one(wrong)
    with pytest.raises(TypeError, match="A recipient must be a user, a primary key or a request"):
        recipients.many([user, wrong])


@pytest.mark.django_db
def test_another_model_is_no_recipient():
    """This also holds if a user has the same primary key."""
    session = Session.objects.create(session_key="1", expire_date=django_timezone.now())
    with pytest.raises(TypeError, match="not Session"):
        recipients.one(session)
    with pytest.raises(TypeError, match="not Session"):
        recipients.many([session])


def historical(model: Any) -> Any:
    """The class that ``apps.get_model()`` returns in a data migration."""
    return ProjectState.from_apps(apps).apps.get_model(model._meta.label)


def test_a_user_of_a_data_migration_is_told_to_pass_the_key(user):
    """Its class is not the user model, and has none of its properties."""
    users = historical(get_user_model())._base_manager.using("default")
    found = users.get(pk=user.pk)
    with pytest.raises(TypeError, match=r"historical model, .* Pass its primary key: user\.pk"):
        recipients.one(found)
    with pytest.raises(TypeError, match=r"historical model, .* Pass its primary key: user\.pk"):
        recipients.many([found])
    with pytest.raises(TypeError, match=r"historical model, .*\.values_list\('pk', flat=True\)"):
        recipients.many(users.all())
    assert recipients.one(found.pk) == user.pk
    assert recipients.many(users.values_list("pk", flat=True)) == [user.pk]


@pytest.mark.only_if(settings.USER != "char")  # a model without groups
def test_a_group_of_a_data_migration_stands_for_its_members(user):
    user.groups.add(Group.objects.create(name="staff"))
    group = historical(Group)._base_manager.get(name="staff")
    assert recipients.many(group) == [user.pk]


def test_several_recipients_are_sent_to_send_many(user):
    several: list[Any] = [
        [user],
        (user,),
        {user},
        {user: 1},
        {user: 1}.keys(),
        (one for one in [user]),
        iter([user]),
        range(1),
        get_user_model()._default_manager.all(),
        Group(name="staff"),
    ]
    for to in several:
        with pytest.raises(TypeError, match=r"Use notify\.send_many\(\)"):
            recipients.one(to)


# -- Several recipients --------------------------------------------------------------------------


def test_users_and_keys_may_be_mixed(make_user):
    """Each is notified once, in the order of the first mention."""
    alice, bob, carol = map(make_user, ["alice", "bob", "carol"])
    to = [bob, alice.pk, str(carol.pk), alice, bob.pk, str(bob.pk)]
    assert recipients.many(to) == [bob.pk, alice.pk, carol.pk]


def test_only_keys_are_looked_up_and_together(make_user, django_assert_num_queries):
    users = [make_user(name) for name in ("alice", "bob", "carol")]
    with django_assert_num_queries(0):
        recipients.many(users)
    with django_assert_num_queries(1):
        assert recipients.many([one.pk for one in users]) == [one.pk for one in users]


def test_keys_are_looked_up_in_batches(make_user, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("notify.db.PUBLISH_BATCH_SIZE", 2)
    keys = [make_user(name).pk for name in ("alice", "bob", "carol")]
    with django_assert_num_queries(2):
        assert recipients.many(keys) == keys


def test_a_generator_is_several_recipients(user, other_user):
    assert recipients.many(one for one in (user, other_user)) == [user.pk, other_user.pk]


@pytest.mark.django_db
def test_nobody_is_several_recipients_too(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert recipients.many([]) == []
        assert recipients.many(iter(())) == []


def test_a_queryset_gives_its_keys_in_one_query(user, other_user, django_assert_num_queries):
    users = get_user_model()._default_manager.order_by("-email")
    with django_assert_num_queries(1):
        assert recipients.many(users) == [other_user.pk, user.pk]
    assert recipients.many(users[:1]) == [other_user.pk]
    assert recipients.many(users.none()) == []


def test_a_queryset_that_repeats_a_user_counts_once(user):
    users = get_user_model()._default_manager.all()
    assert recipients.many(users.union(users.filter(pk=user.pk), all=True)) == [user.pk]


def test_values_list_gives_keys(user, other_user):
    """A queryset of plain values is treated as an iterable, not as a queryset of its model."""
    users = get_user_model()._default_manager.order_by("email")
    assert recipients.many(users.values_list("pk", flat=True)) == [user.pk, other_user.pk]
    with pytest.raises(InvalidRecipient, match=r"alice@example\.com"):
        recipients.many(users.values_list("email", flat=True))
    for rows in (users.values("pk"), users.values_list("pk")):
        with pytest.raises(TypeError, match="A recipient must be a user"):
            recipients.many(rows)


@pytest.mark.django_db
def test_a_queryset_of_another_model_is_refused():
    with pytest.raises(TypeError, match="not a queryset of Session"):
        recipients.many(Session.objects.all())


@pytest.mark.only_if(settings.USER != "char")  # a model without groups
def test_a_group_stands_for_its_members(make_user):
    alice, bob, _carol = map(make_user, ["alice", "bob", "carol"])
    group = Group.objects.create(name="staff")
    alice.groups.add(group)
    bob.groups.add(group)
    assert sorted(recipients.many(group)) == sorted([alice.pk, bob.pk])


@pytest.mark.parametrize("make", [lambda user: user, lambda user: user.pk, lambda user: "alice"])
def test_one_recipient_is_sent_to_send(make, user):
    with pytest.raises(TypeError, match=r"Use notify\.send\(\)"):
        recipients.many(make(user))


def test_a_request_is_one_recipient(user, rf):
    """A request is iterable, but its lines are no users."""
    request = rf.get("/")
    request.user = user
    with pytest.raises(TypeError, match=r"Use notify\.send\(\)"):
        recipients.many(request)


def test_missing_keys_are_all_named(user):
    """At most five are named."""
    missing = [uuid.UUID(int=number) for number in range(1, 8)]
    if get_user_model()._meta.pk.get_internal_type() == "AutoField":
        missing = list(range(user.pk + 1, user.pk + 8))  # type: ignore[arg-type]
    with pytest.raises(InvalidRecipient, match="No users have these primary keys") as caught:
        recipients.many([user, *missing])
    named = [
        key for key in missing if repr(key) in str(caught.value) or f"'{key}'" in str(caught.value)
    ]
    assert named == missing[:5]
    assert str(caught.value).endswith(", …. Nothing was stored.")
    with pytest.raises(
        InvalidRecipient, match=r"primary keys: [^,]*, [^,]*\. Nothing was stored\.$"
    ):
        recipients.many(missing[:2])
    with pytest.raises(InvalidRecipient, match=r"No user has the primary key [^,]*\. Nothing"):
        recipients.many(missing[:1])
