"""The pages of the demo, one scenario each."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.views import LoginView
from django.core.files.storage import default_storage
from django.db import transaction
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

import notify

from . import exports, samples, tasks
from .forms import ImportForm, SendForm
from .models import Import, Payment


def home(request):
    """What there is to see, and what is new. The server renders it: it needs no script."""
    news = notify.inbox.snapshot(request.user).notifications[::-1][:10]
    return render(request, "demo/home.html", {"news": news})


def imports(request):
    """Upload a file. The worker imports it and notifies the user, whatever page they are on by then."""
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        with transaction.atomic():
            job = Import.objects.create(user=request.user, file=file, name=file.name)
            # The task is a row of the same database: it starts when the import is committed.
            tasks.import_customers.enqueue(job.pk)
        tasks.progress_of(job, queued=True)
        return redirect(job)
    return render(
        request, "demo/imports.html", {"form": form, "imports": request.user.imports.all()[:50]}
    )


def import_result(request, pk):
    """What came of an import. Only the user who uploaded the file may see it."""
    job = get_object_or_404(Import, pk=pk, user=request.user)
    return render(request, "demo/import.html", {"job": job, "customers": job.customers.all()[:10]})


def sample(request, kind):
    """A file to try the import with."""
    if kind not in samples.KINDS:
        raise Http404
    return HttpResponse(
        samples.make(kind),
        content_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{kind}.csv"'},
    )


def redirect_while_working(request):
    """A form whose task ends between the old page and the next one."""
    if request.method == "POST":
        backend = "immediate" if "immediate" in request.POST else "default"
        tasks.close_the_month.using(backend=backend).enqueue(request.user.pk)
        return redirect("redirected")
    return render(request, "demo/redirect.html")


def redirected(request):
    return render(request, "demo/redirected.html")


class CardDeclined(Exception):
    pass


def rollback(request):
    """A notification belongs to its transaction: if that rolls back, it never was."""
    if request.method == "POST":
        try:
            with transaction.atomic():
                payment = Payment.objects.create(user=request.user, amount=120)
                notify.success(request, f"{payment} is booked.", url="rollback")
                if "rollback" in request.POST:
                    raise CardDeclined
        except CardDeclined:
            messages.warning(
                request, "The card was declined: nothing is booked, and nothing is sent."
            )
        return redirect("rollback")
    return render(request, "demo/rollback.html", {"payments": request.user.payments.all()[:5]})


def actions(request):
    """Notifications that are answered where they are shown. The handlers are in notifications.py."""
    if request.method == "POST" and "approval" in request.POST:
        notify.send(
            request,
            "A payment of €480 to Baker Ltd waits for your approval.",
            title="Approval",
            actions=[
                notify.Action("Approve", run="demo.approve", args={"amount": 480}, style="primary"),
                notify.Action(
                    "Decline",
                    run="demo.decline",
                    args={"amount": 480},
                    style="danger",
                    confirm="Decline the payment of €480?",
                ),
            ],
        )
        return redirect("actions")
    if request.method == "POST":
        name = exports.write(request.user)
        notify.success(
            request,
            "Your customers are exported.",
            actions=[
                notify.Action("Download", reverse("export", args=[name])),
                notify.Action("Undo", run="demo.undo_export", args={"name": exports.path(name)}),
            ],
        )
        return redirect("actions")
    return render(request, "demo/actions.html", {"payments": request.user.payments.all()[:5]})


def export(request, name):
    """Download an export. Its name cannot be guessed, and is only known to its user."""
    path = exports.path(name)
    if not default_storage.exists(path):
        raise Http404
    return FileResponse(default_storage.open(path), as_attachment=True, filename="customers.csv")


def send(request):
    """Send anything to anyone."""
    form = SendForm(request.POST or None, initial={"recipient": request.user, "level": "info"})
    if request.method == "POST" and form.is_valid():
        if form.cleaned_data["everyone"]:
            notify.send_many(get_user_model().objects.filter(is_active=True), **form.content())
        else:
            notify.send(form.cleaned_data["recipient"], **form.content())
        return redirect("send")
    return render(request, "demo/send.html", {"form": form})


def polling(request):
    """A page that may not use WebSockets: its template says {% notify transports="poll" %}."""
    if request.method == "POST":
        notify.info(request, "This notification arrived without a WebSocket.")
        return redirect("polling")
    return render(request, "demo/polling.html")


class Login(LoginView):
    template_name = "demo/login.html"
    redirect_authenticated_user = True

    def get_form_kwargs(self):
        return {**super().get_form_kwargs(), "label_suffix": ""}
