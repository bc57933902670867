from __future__ import annotations

from django.contrib import admin

from .models import Import


@admin.register(Import)
class ImportAdmin(admin.ModelAdmin):
    list_display = ["name", "user", "status", "imported", "bad", "created_at"]
    list_filter = ["status", "user"]
