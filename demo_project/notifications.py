"""The handlers of the actions, found by notify as admin.py is found by the admin."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.urls import reverse

import notify

from .models import Payment


@notify.action("demo.approve")
def approve(user, notification, amount):
    payment = Payment.objects.create(user=user, amount=amount)
    return notify.Outcome(f"{payment} is approved and booked.", url=reverse("actions"))


@notify.action("demo.decline")
def decline(user, notification, amount):
    return notify.Outcome(f"You have declined the payment of €{amount}.", level="warning")


@notify.action("demo.undo_export")
def undo_export(user, notification, name):
    if not default_storage.exists(name):
        raise ValidationError("The export has already been deleted.")
    default_storage.delete(name)
    return "The export is deleted."
