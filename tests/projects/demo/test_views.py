"""The pages: their access rules, and the input they send and refuse."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings
from django.urls import reverse

from demo_project import views
from demo_project.forms import ImportForm
from demo_project.models import Import, Payment
from notify.testing import act, assert_notified

PAGES = ["home", "imports", "redirect", "redirected", "rollback", "actions", "send", "polling"]


def csv_file(content=b"name\nAda\n", name="customers.csv"):
    return SimpleUploadedFile(name, content, "text/csv")


def messages_of(user):
    return list(user.notify_notifications.values_list("message", flat=True))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_needs_a_user(client, page):
    response = client.get(reverse(page))
    assert response.status_code == 302
    assert response.url.startswith(reverse("login"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_notify_and_nothing_inline(site, page):
    response = site.get(reverse(page))
    html = response.content.decode()
    assert response.status_code == 200
    assert response["Content-Security-Policy"] == "default-src 'self'"
    assert "<notify-root" in html
    assert "<notify-badge" in html
    assert "<style" not in html
    assert ' style="' not in html
    assert "<script>" not in html


def test_only_the_polling_page_is_limited_to_polling(site):
    assert 'transports="poll"' in site.get(reverse("polling")).content.decode()
    assert 'transports="poll"' not in site.get(reverse("home")).content.decode()


def test_sign_in(client, alice):
    page = client.get(reverse("login")).content.decode()
    assert "<notify-root" not in page
    response = client.post(reverse("login"), {"username": "alice", "password": "demo"})
    assert response.url == reverse("home")
    assert client.post(reverse("logout")).url == reverse("login")


def test_the_home_page_lists_what_is_new_without_scripts(site, alice):
    views.notify.success(alice, "Your export is ready", url="/imports/")
    views.notify.info(alice, "<b>Bold</b>")
    html = site.get("/").content.decode()
    assert '<a href="/imports/">Your export is ready</a>' in html
    assert "&lt;b&gt;Bold&lt;/b&gt;" in html


def test_upload(site, alice):
    response = site.post(reverse("imports"), {"file": csv_file()})
    job = Import.objects.get()
    assert response.url == job.get_absolute_url()
    assert (job.user, job.name, job.status) == (alice, "customers.csv", "queued")
    page = site.get(response.url).content.decode()
    assert "Waiting" in page
    assert "data-refresh-on-news" in page


def test_an_empty_file_is_for_the_importer_to_judge(site):
    assert site.post(reverse("imports"), {"file": csv_file(b"")}).status_code == 302


def test_a_file_over_the_limit_is_refused(site, monkeypatch):
    monkeypatch.setattr(ImportForm, "LARGEST", 2048)
    response = site.post(reverse("imports"), {"file": csv_file(b"x" * 4096)})
    text = response.content.decode().replace("\xa0", " ")
    assert "customers.csv is 4.0 KB. The maximum file size is 2.0 KB." in text
    assert not Import.objects.exists()


def test_an_import_is_seen_by_its_user_only(site, bob):
    job = Import.objects.create(user=bob, name="secret.csv", file="secret.csv")
    assert site.get(job.get_absolute_url()).status_code == 404
    assert "secret.csv" not in site.get(reverse("imports")).content.decode()


def test_a_result(site, alice):
    job = Import.objects.create(
        user=alice,
        name="customers.csv",
        status="failed",
        problem="Something went wrong on our side.",
        columns=["name", "<i>"],
        delimiter=";",
        encoding="utf-8",
        imported=1200,
        bad=101,
        errors=[{"line": 7, "reason": "it contains a NUL byte"}],
    )
    job.customers.create(line=2, name="Ada", cells=["Ada", "<script>"])
    page = site.get(job.get_absolute_url()).content.decode()
    assert "1,200" in page
    assert "utf-8, semicolons" in page
    assert "It contains a NUL byte" in page
    assert "The first 1 of 101." in page
    assert "Something went wrong" in page
    assert "&lt;i&gt;" in page
    assert "&lt;script&gt;" in page
    assert "data-refresh-on-news" not in page


def test_samples(site):
    assert site.get(reverse("sample", args=["messy"])).content.count(b"\n") == 1201
    assert site.get(reverse("sample", args=["other"])).status_code == 404


def test_the_task_ends_before_the_redirect(site, alice):
    response = site.post(reverse("redirect"), {"immediate": ""})
    assert response.url == reverse("redirected")
    assert messages_of(alice) == ["The month is closed and its report is ready."]


def test_the_task_is_left_to_the_worker(site, alice):
    site.post(reverse("redirect"), {"worker": ""})
    assert messages_of(alice) == []


@pytest.mark.django_db(transaction=True)
def test_a_payment_that_is_booked_is_announced(site, alice):
    site.post(reverse("rollback"), {"commit": ""})
    assert messages_of(alice) == [f"Payment {Payment.objects.get().pk} of €120 is booked."]


@pytest.mark.django_db(transaction=True)
def test_a_payment_that_rolls_back_is_not(site, alice):
    page = site.post(reverse("rollback"), {"rollback": ""}, follow=True).content.decode()
    assert "nothing is booked, and nothing is sent" in page
    assert not Payment.objects.exists()
    assert messages_of(alice) == []


def test_send_to_one(site, alice, bob):
    content = {"level": "success", "title": "Hi", "message": "Hello", "url": "/x/"}
    assert site.post(reverse("send"), {"recipient": bob.pk, **content}).status_code == 302
    notification = bob.notify_notifications.get()
    assert (notification.level, notification.title, notification.url) == ("success", "Hi", "/x/")
    assert messages_of(alice) == []


def test_send_to_everyone(site, alice, bob):
    site.post(reverse("send"), {"everyone": "on", "level": "info", "message": "Hello"})
    assert messages_of(alice) == messages_of(bob) == ["Hello"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message", ""),
        ("message", "x" * 2001),
        ("title", "x" * 201),
        ("url", "javascript:alert(1)"),
        ("url", "//elsewhere.example"),
        ("url", "admin:index"),
        ("key", "x" * 101),
        ("level", "loud"),
        ("recipient", ""),
    ],
)
def test_what_cannot_be_sent_is_said(site, alice, field, value):
    form = {"recipient": alice.pk, "level": "info", "message": "Hello"}
    response = site.post(reverse("send"), {**form, field: value})
    assert response.context["form"].errors.keys() == {field}
    assert messages_of(alice) == []


def test_polling_sends(site, alice):
    site.post(reverse("polling"))
    assert messages_of(alice) == ["This notification arrived without a WebSocket."]


@pytest.mark.parametrize("debug", [True, False])
def test_a_missing_page_looks_like_the_site(site, debug):
    with override_settings(DEBUG=debug):
        response = site.get("/nowhere/")
    assert response.status_code == 404
    assert b"Page not found" in response.content
    assert response["Content-Security-Policy"] == "default-src 'self'"


def test_a_page_without_a_token_looks_like_the_site(alice):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    response = client.post(reverse("polling"))
    assert response.status_code == 403
    assert b"Please send the form again" in response.content


# -- Actions -------------------------------------------------------------------------------------


def test_an_approval_books_the_payment_once(site, alice):
    site.post(reverse("actions"), {"approval": ""})
    row = assert_notified(alice, "waits for your approval")
    outcome = act(alice, row, "Approve")
    assert act(alice, row, "Decline") == outcome
    payment = Payment.objects.get()
    assert (payment.user, payment.amount) == (alice, 480)
    assert outcome.message == f"{payment} is approved and booked."
    assert str(payment) in site.get(outcome.url).content.decode()


def test_what_is_declined_is_not_booked(site, alice):
    site.post(reverse("actions"), {"approval": ""})
    row = assert_notified(alice, "waits for your approval")
    assert act(alice, row, "Decline").level == "warning"
    assert not Payment.objects.exists()


def test_an_export_is_downloaded_until_it_is_taken_back(site, alice, bob):
    for user in (alice, bob):
        job = Import.objects.create(user=user, name="customers.csv", file="customers.csv")
        job.customers.create(line=2, name=f"Of {user}", email="a@example.com", cells=[])
    site.post(reverse("actions"), {"export": ""})
    row = assert_notified(alice, "are exported", level="success")
    url = row.actions[0]["url"]
    text = b"".join(site.get(url).streaming_content).decode()
    assert text.splitlines() == ["Name,E-mail", "Of alice,a@example.com"]
    assert act(alice, row, "Undo").message == "The export is deleted."
    assert site.get(url).status_code == 404


def test_an_export_that_is_gone_cannot_be_taken_back(site, alice, folder):
    site.post(reverse("actions"), {"export": ""})
    row = assert_notified(alice, "are exported")
    for path in (folder / "exports").iterdir():
        path.unlink()
    with pytest.raises(ValidationError, match="already been deleted"):
        act(alice, row, "Undo")
