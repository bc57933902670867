"""Exports of a user's customers, as CSV files in the storage of the uploads."""

from __future__ import annotations

import csv
import io
import secrets

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from .models import Customer


def write(user) -> str:
    """Write the customers of a user's imports. Returns the name of the export."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["Name", "E-mail"])
    customers = Customer.objects.filter(source__user=user)
    writer.writerows(customers.values_list("name", "email"))
    name = secrets.token_hex(16)
    default_storage.save(path(name), ContentFile(text.getvalue().encode()))
    return name


def path(name: str) -> str:
    return f"exports/{name}.csv"
