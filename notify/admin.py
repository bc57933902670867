"""Admin pages for searching and reading notifications. Sent notifications cannot be edited here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from notify.mailbox import outbox
from notify.models import Mailbox, Notification


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Deleting a row here would not remove it from open tabs. But the page that deletes a user
        # also calls this method for the user's rows, so always returning False would forbid that.
        match = request.resolver_match
        ours = f"{self.opts.app_label}_{self.opts.model_name}_"
        elsewhere = match is not None and not (match.url_name or "").startswith(ours)
        return elsewhere and super().has_delete_permission(request, obj)


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("waiting", _("waiting")),
            ("unseen", _("unseen")),
            ("unread", _("unread")),
            ("archived", _("archived")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen: dict[str, dict[str, Any]] = {
            "waiting": {"position": None},
            "unseen": {"position__isnull": False, "seen_at": None, "archived_at": None},
            "unread": {"position__isnull": False, "read_at": None, "archived_at": None},
            "archived": {"archived_at__isnull": False},
        }
        return queryset.filter(**chosen.get(self.value() or "", {}))


@admin.register(Notification)
class NotificationAdmin(ReadOnly):
    list_display = ("__str__", "recipient", "level", "state", "count", "created_at")
    list_filter = (StateFilter, "level", "category")
    list_select_related = ("recipient",)
    ordering = ("-pk",)
    show_full_result_count = False
    actions = ("publish",)
    readonly_fields = ("detail",)

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        name = get_user_model().USERNAME_FIELD
        return ["title", "message", "=collapse_key", f"=recipient__{name}"]

    @admin.display(description=_("error detail"))
    def detail(self, notification: Notification) -> str:
        """Returns the traceback of a failed task or action. Only staff see it, never the recipient."""
        records = (getattr(notification, name, None) for name in ("task", "action_record"))
        return "\n\n".join(record.detail for record in records if record and record.detail)

    @admin.display(description=_("state"))
    def state(self, notification: Notification) -> Any:
        if notification.position is None:
            return _("waiting")
        if notification.archived_at:
            return _("archived")
        if notification.read_at:
            return _("read")
        return _("seen") if notification.seen_at else _("unseen")

    @admin.action(
        description=_("Publish all waiting notifications of these recipients"),
        permissions=["view"],
    )
    def publish(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        waiting = queryset.filter(position=None).order_by()
        recipient_ids = set(waiting.values_list("recipient", flat=True))
        outbox.publish_after_commit(recipient_ids)
        text = ngettext(
            "Published waiting notifications for %d recipient.",
            "Published waiting notifications for %d recipients.",
            len(recipient_ids),
        )
        self.message_user(
            request, text % len(recipient_ids), messages.SUCCESS if recipient_ids else messages.INFO
        )


@admin.register(Mailbox)
class MailboxAdmin(ReadOnly):
    list_display = ("user", "head", "unseen", "unread", "due")
    list_select_related = ("user",)
    show_full_result_count = False

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return [f"=user__{get_user_model().USERNAME_FIELD}"]
