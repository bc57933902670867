"""A caller's content, checked and rendered: texts, level, links, actions, data, expiry and languages."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.messages import constants
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse, reverse_lazy
from django.utils import timezone as django_timezone
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from notify.exceptions import InvalidNotification
from notify.models import Notification
from notify.sending import content
from notify.sending.actions import Action
from notify.sending.content import Content
from tests.kit import languages as languages_urls

pytestmark = pytest.mark.users
monday = gettext_lazy("Monday")  # translated by Django itself
tuesday = gettext_lazy("Tuesday")


def letter(message: Any = "Hello", **given: Any) -> Content:
    nothing: dict[str, Any] = {
        "level": "info",
        "title": "",
        "category": "",
        "url": "",
        "actions": (),
        "data": None,
        "key": "",
        "count": False,
        "expires": None,
    }
    return Content(message, **{**nothing, **given})


def write(message: Any = "Hello", **given: Any) -> Notification:
    return letter(message, **given).checked().render()


# -- Texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "limit"), [("title", 200), ("message", 2000), ("key", 100), ("category", 50)]
)
def test_a_text_may_be_as_long_as_its_limit(name, limit):
    """The limit counts characters, not bytes."""
    stored = {"key": "collapse_key"}.get(name, name)
    assert getattr(write(**{name: "🎉" * limit}), stored) == "🎉" * limit
    with pytest.raises(InvalidNotification, match=rf"{name} has {limit + 1} .* at most {limit}"):
        write(**{name: "🎉" * (limit + 1)})


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("title", "Shorten it, or link to a page with the full text."),
        ("message", "Shorten it, or link to a page with the full text."),
        ("category", "Shorten it."),
    ],
)
def test_only_a_text_to_read_can_be_linked(name, advice):
    with pytest.raises(InvalidNotification) as caught:
        write(**{name: "x" * 2001})
    assert str(caught.value).endswith(f"are allowed. {advice}")


@pytest.mark.parametrize("message", ["", " \n\t", None, mark_safe("")])
def test_a_message_says_something(message):
    with pytest.raises(InvalidNotification, match="message must not be empty"):
        write(message)


@pytest.mark.parametrize("name", ["title", "message", "key", "category", "url"])
@pytest.mark.parametrize("character", ["\x00", "\ud800"])
def test_characters_that_no_database_stores_are_refused(name, character):
    with pytest.raises(InvalidNotification, match=f"{name}.*which databases reject"):
        write(**{name: f"/x.{character}"})


def test_none_is_no_text():
    """A title from an empty column is missing, and not the word "None"."""
    row = write(title=None, category=None, url=None, key=None)
    assert (row.title, row.category, row.url, row.collapse_key) == ("", "", "", "")


def test_safe_strings_become_plain():
    """Text is text: a string marked as HTML is shown as it is written."""
    row = write(mark_safe("<b>bold</b>"))
    assert row.message == "<b>bold</b>"
    assert not isinstance(row.message, SafeString)


def test_other_objects_become_text():
    assert write(ValueError("No date in row 41")).message == "No date in row 41"


# -- Level ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["debug", "info", "success", "warning", "error"])
def test_levels_are_names_or_constants_of_messages(level):
    assert write(level=level).level == level
    assert write(level=getattr(constants, level.upper())).level == level


@pytest.mark.parametrize("level", ["danger", "INFO", "", None, 21, True, [], {}])
def test_an_unknown_level_is_refused(level):
    with pytest.raises(
        InvalidNotification, match=r"is not a valid level\. Use one of debug, info,"
    ):
        write(level=level)


# -- Links ---------------------------------------------------------------------------------------


def test_a_long_url_is_refused():
    with pytest.raises(InvalidNotification, match="url has 2001 characters; at most 2000"):
        write(url="/" + "a" * 2000)


# -- Counting ------------------------------------------------------------------------------------


def test_a_count_is_asked_for_with_a_key():
    assert write(key="k").is_counted is False
    assert write(key="k", count=True).is_counted is True
    with pytest.raises(InvalidNotification, match="count=True needs a key"):
        write(count=True)


@pytest.mark.parametrize("count", [3, 0, None, "yes"])
def test_a_count_is_no_number(count):
    with pytest.raises(
        InvalidNotification, match=r"count must be True or False, not .*itself counts"
    ):
        write(key="k", count=count)


# -- Actions -------------------------------------------------------------------------------------


def test_actions_are_objects_or_mappings():
    actions = (action for action in [Action("Open", "/x/"), {"label": "Close", "url": "/y/"}])
    assert write(actions=actions).actions == [
        {"label": "Open", "url": "/x/"},
        {"label": "Close", "url": "/y/"},
    ]


def test_five_actions_are_the_most():
    assert len(write(actions=[Action("Open", "/x/")] * 5).actions) == 5
    with pytest.raises(InvalidNotification, match="actions has 6 entries; at most 5"):
        write(actions=[Action("Open", "/x/")] * 6)


def test_a_label_has_a_limit():
    assert write(actions=[Action("x" * 50, "/x/")]).actions[0]["label"] == "x" * 50
    with pytest.raises(InvalidNotification, match="In actions: label has 51"):
        write(actions=[Action("x" * 51, "/x/")])


@pytest.mark.parametrize(
    "action",
    ["Open", ("Open", "/x/"), {"label": "Open"}, {"label": "Open", "href": "/x/"}, None, 7],
)
def test_what_is_no_action_is_named(action):
    with pytest.raises(InvalidNotification, match=r"notify\.Action\(label, url\)"):
        write(actions=[action])


@pytest.mark.parametrize("actions", [None, Action("Open", "/x/"), 7])
def test_actions_are_a_list(actions):
    with pytest.raises(InvalidNotification, match="actions must be a list"):
        write(actions=actions)


@pytest.mark.parametrize("label", ["", " ", None])
def test_an_action_has_a_label(label):
    with pytest.raises(InvalidNotification, match="/x/ must have a label"):
        write(actions=[Action(label, "/x/")])


@pytest.mark.parametrize("url", ["", None])
def test_an_action_leads_somewhere(url):
    with pytest.raises(InvalidNotification, match="must have a url"):
        write(actions=[Action("Open", url)])


# -- Data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [{}, [], "", 0, False, 1.5, "é🎉", {"a": [1, {"b": None}]}, "\\u0000", "\\ud800"]
)
def test_data_is_anything_json(data):
    assert write(data=data).data == data


def test_data_is_what_json_makes_of_it():
    """The returned row has what a reader reads: keys are text, and tuples are lists."""
    assert write(data={1: (1, 2)}).data == {"1": [1, 2]}


def test_data_may_change_after_the_call():
    """The notification keeps the original data."""
    data: dict[str, Any] = {"rows": [1]}
    row = write(data=data)
    data["rows"].append(2)
    assert row.data == {"rows": [1]}


def test_data_has_a_limit():
    fits = "x" * (16 * 1024 - 2)  # the two quotes count too
    assert write(data=fits).data == fits
    with pytest.raises(InvalidNotification, match="data has 16385 bytes as JSON; at most 16384"):
        write(data=f"{fits}x")


def circle() -> list[Any]:
    around: list[Any] = []
    around.append(around)
    return around


@pytest.mark.parametrize(
    "data",
    [
        object(),
        {1, 2},
        date(2026, 1, 1),
        b"bytes",
        monday,
        {(1, 2): 3},
        float("nan"),
        [float("inf")],
        {"a": float("-inf")},
        circle(),
        pytest.param(10**5000, id="huge integer"),
    ],
)
def test_data_that_is_not_json_is_refused(data):
    with pytest.raises(InvalidNotification, match="data cannot be stored as JSON: "):
        write(data=data)


@pytest.mark.parametrize("data", ["\x00", {"\x00": 1}, {"a": ["\x00"]}, "\ud800", {"\udfff": 1}])
def test_data_that_a_database_would_refuse_is_refused(data):
    """PostgreSQL accepts no NUL, and no wire accepts half a surrogate pair."""
    with pytest.raises(InvalidNotification, match="which databases reject"):
        write(data=data)


@pytest.mark.database
def test_data_is_as_deep_as_every_database_takes(user):
    import notify

    deepest = json.loads("[" * 31 + "]" * 31)
    assert notify.send(user, "Hello", data=deepest).data == deepest
    assert Notification.objects.get().data == deepest
    for deeper in ([deepest], json.loads("[" * 500 + "]" * 500), {"a": deepest}):
        with pytest.raises(InvalidNotification, match="nested deeper than 30 levels"):
            write(data=deeper)


# -- Expiry --------------------------------------------------------------------------------------


def test_expiry_is_a_moment_or_a_time_from_now():
    now = django_timezone.now()
    assert write(expires=timedelta(hours=1)).expires_at - now >= timedelta(hours=1)
    assert write(expires=now + timedelta(hours=1)).expires_at == now + timedelta(hours=1)
    assert write().expires_at is None


def test_expiry_may_be_naive_or_aware(settings):
    """It is stored as this project stores datetimes."""
    east = timezone(timedelta(hours=9))
    aware = datetime(2100, 1, 1, 12, tzinfo=east)
    naive = datetime(2100, 1, 1, 12)
    settings.USE_TZ = True
    assert write(expires=aware).expires_at == aware
    assert write(expires=naive).expires_at == django_timezone.make_aware(naive)
    settings.USE_TZ = False
    assert write(expires=naive).expires_at == naive
    assert write(expires=aware).expires_at == django_timezone.make_naive(aware)


@pytest.mark.parametrize(
    "past",
    [timedelta(0), timedelta(seconds=-1), datetime(2000, 1, 1), datetime(2000, 1, 1, tzinfo=UTC)],
)
def test_expiry_lies_ahead(past, settings):
    for settings.USE_TZ in (True, False):
        with pytest.raises(InvalidNotification, match="is in the past"):
            write(expires=past)


@pytest.mark.parametrize("never", [timedelta.max, datetime.max, datetime.max.replace(tzinfo=UTC)])
def test_expiry_lies_within_the_calendar(never, settings):
    """In UTC, which is used on the wire, the last hours of the year 9999 may belong to the next year."""
    settings.TIME_ZONE = "America/Chicago"
    for settings.USE_TZ in (True, False):
        if never == datetime.max.replace(tzinfo=UTC):
            write(expires=never)
            continue
        with pytest.raises(InvalidNotification, match="out of the range of dates"):
            write(expires=never)


@pytest.mark.parametrize("expires", [60, "tomorrow", date(2100, 1, 1)])
def test_expiry_is_nothing_else(expires):
    with pytest.raises(InvalidNotification, match="must be a datetime or a timedelta"):
        write(expires=expires)


# -- Languages -----------------------------------------------------------------------------------

asked: list[Any] = []


def language_of(user: Any) -> str | None:
    asked.append(user.pk)
    return {"al": "de", "bo": "fr", "ca": "de"}.get(user.email[:2])


@pytest.fixture
def languages(settings):
    settings.NOTIFY_LANGUAGE = f"{__name__}.language_of"
    settings.LANGUAGE_CODE = "es"
    asked.clear()
    return asked


@pytest.fixture
def renders(monkeypatch):
    """The languages in which a letter was rendered."""
    done: list[str | None] = []
    render = Content.render

    def noted(self: Content) -> Notification:
        done.append(translation.get_language())
        return render(self)

    monkeypatch.setattr(Content, "render", noted)
    return done


@pytest.mark.django_db
def test_without_a_setting_the_active_language_is_used(user, renders):
    with translation.override("de"):
        ((row, to),) = content.address(letter(monday, title=tuesday), [user.pk])
    assert (row.message, row.title, to, renders) == ("Montag", "Dienstag", [user.pk], ["de"])


def test_everybody_is_told_in_his_language(make_user, languages, renders):
    """The language of each user is looked up once, and each language is rendered once."""
    alice, bob, carol, dave = map(make_user, ["alice", "bob", "carol", "dave"])
    to = [dave.pk, alice.pk, bob.pk, carol.pk]
    with translation.override("it"):
        addressed = content.address(letter(monday), to)
        assert translation.get_language() == "it"
    assert [(row.message, pks) for row, pks in addressed] == [
        ("lunes", [dave.pk]),
        ("Montag", [alice.pk, carol.pk]),
        ("lundi", [bob.pk]),
    ]
    assert sorted(languages) == sorted(to)
    assert renders == ["es", "de", "fr"]


def test_the_users_are_read_in_one_query(user, other_user, languages, django_assert_num_queries):
    with django_assert_num_queries(1):
        content.address(letter(monday), [user.pk, other_user.pk])


@pytest.mark.parametrize(
    "lazy",
    [
        {"message": monday},
        {"title": monday},
        {"actions": [Action(monday, "/x/")]},
        {"actions": [{"label": monday, "url": "/x/"}]},
        {"message": format_lazy("{}!", monday)},
    ],
)
def test_every_text_may_be_lazy(lazy, user, languages):
    ((row, _to),) = content.address(letter(**lazy), [user.pk])
    assert "Montag" in json.dumps([row.message, row.title, row.actions])


@pytest.mark.parametrize("url", [None, "", "/exports/7/", "https://example.com/x"])
def test_a_plain_text_asks_for_no_language(url, user, languages, django_assert_num_queries):
    actions = [Action("Open", "mailto:alice@example.com")]
    with django_assert_num_queries(0):
        content.address(letter("Montag", url=url, actions=actions), [user.pk])
    assert languages == []


class Report:
    def get_absolute_url(self) -> str:
        return reverse("report")


@pytest.mark.urls("tests.kit.languages")
@pytest.mark.parametrize("url", [reverse_lazy("report"), "report", Report(), languages_urls.report])
def test_a_link_is_in_the_language_of_the_text(url, make_user, languages):
    """Under ``i18n_patterns``, the path begins with the language."""
    alice, bob = map(make_user, ["alice", "bob"])
    lazy = letter(monday, url=url, actions=[Action("Open", url)])
    for given in (lazy, letter("Hello", url=url), letter("Hello", actions=[Action("Open", url)])):
        with translation.override("it"):
            addressed = content.address(given, [alice.pk, bob.pk])
        links = [({row.url, *(a["url"] for a in row.actions)} - {""}, to) for row, to in addressed]
        assert links == [({"/de/report/"}, [alice.pk]), ({"/fr/report/"}, [bob.pk])]


@pytest.mark.urls("tests.kit.languages")
def test_without_a_setting_the_link_is_in_the_active_language(user):
    with translation.override("de"):
        ((row, _to),) = content.address(letter(monday, url=Report()), [user.pk])
    assert (row.message, row.url) == ("Montag", "/de/report/")


def test_a_limit_holds_in_every_language(user, languages):
    """Nothing is stored if one of the translations is too long."""
    with pytest.raises(InvalidNotification, match="at most 200"):
        content.address(letter("x", title=format_lazy("{}" + "x" * 196, monday)), [user.pk])


def test_a_recipient_who_is_gone_keeps_his_letter(user, languages):
    """As without a language, the caller holds a user who was deleted meanwhile."""
    get_user_model()._default_manager.all().delete()
    ((row, to),) = content.address(letter(monday), [user.pk])
    assert (row.message, to) == ("lunes", [user.pk])


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("nowhere.language_of", "could not be imported"),
        ("nowhere", "could not be imported"),
        (f"{__name__}.no_such_name", "could not be imported"),
        (f"{__name__}.asked", "is not callable"),
        (language_of, "could not be imported"),
    ],
)
def test_a_wrong_setting_is_named(path, problem, user, settings):
    settings.NOTIFY_LANGUAGE = path
    with pytest.raises(ImproperlyConfigured, match=rf"NOTIFY_LANGUAGE = .* {problem}"):
        content.address(letter(monday), [user.pk])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image": "mailto:a@example.com"}, "is not the URL of an image"),
        ({"toast": 1}, "toast must be True or False"),
    ],
)
def test_an_image_is_an_address_and_toast_is_a_choice(options, said):
    with pytest.raises(InvalidNotification, match=said):
        Content("Hello", **options).checked().render()
