"""What the back office keeps: imports, the customers that came with them, and payments."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone


class Import(models.Model):
    """One uploaded CSV file, and how its import went."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Running"
        FINISHED = "finished", "Finished"
        FAILED = "failed", "Failed"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="imports"
    )
    file = models.FileField(upload_to="imports")
    name = models.CharField(max_length=255, help_text="The file's name on the user's machine.")
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    problem = models.TextField(blank=True, help_text="Why it failed.")

    encoding = models.CharField(max_length=40, blank=True)
    delimiter = models.CharField(max_length=1, blank=True)
    columns = models.JSONField(default=list)
    imported = models.PositiveIntegerField(default=0)
    bad = models.PositiveIntegerField(default=0)
    errors = models.JSONField(default=list, help_text="The first bad rows: line and reason.")

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self):
        return f"Import {self.pk} of {self.name}"

    def get_absolute_url(self):
        return reverse("import", args=[self.pk])

    @property
    def is_over(self):
        return self.status in {self.Status.FINISHED, self.Status.FAILED}

    @property
    def is_silent(self):
        """Has it stood still for so long that the worker has probably been stopped?"""
        return not self.is_over and timezone.now() - self.updated_at > timedelta(minutes=1)

    @property
    def level(self):
        """The level of a notification about the outcome."""
        if self.status == self.Status.FAILED or not self.imported:
            return "error"
        return "warning" if self.bad else "success"

    @property
    def seconds(self):
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def delimiter_name(self):
        names = {"": "one column", ",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
        return names.get(self.delimiter, f"“{self.delimiter}”")


class Customer(models.Model):
    """One row of an imported file."""

    source = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="customers")
    line = models.PositiveIntegerField()
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True)
    cells = models.JSONField(help_text="The whole row, in the order of the import's columns.")

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return self.name


class Payment(models.Model):
    """A booked payment, for the page about rollback."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="payments"
    )
    amount = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self):
        return f"Payment {self.pk} of €{self.amount}"
