import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import notify.indexes


class Migration(migrations.Migration):
    dependencies = [
        ("notify", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="notification",
            name="acted_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="acted at"),
        ),
        migrations.AddField(
            model_name="notification",
            name="group",
            field=models.CharField(blank=True, default="", max_length=100, verbose_name="group"),
        ),
        migrations.AddField(
            model_name="notification",
            name="has_toast",
            field=models.BooleanField(default=True, verbose_name="toast"),
        ),
        migrations.AddField(
            model_name="notification",
            name="image",
            field=models.CharField(blank=True, default="", max_length=2000, verbose_name="image"),
        ),
        migrations.AddField(
            model_name="notification",
            name="origin",
            field=models.CharField(
                blank=True, default="", editable=False, max_length=32, verbose_name="origin"
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="outcome",
            field=models.JSONField(blank=True, editable=False, null=True, verbose_name="outcome"),
        ),
        migrations.CreateModel(
            name="ActionRecord",
            fields=[
                (
                    "notification",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="action_record",
                        serialize=False,
                        to="notify.notification",
                        verbose_name="notification",
                    ),
                ),
                ("detail", models.TextField(blank=True, default="", verbose_name="detail")),
            ],
            options={
                "verbose_name": "action taken",
                "verbose_name_plural": "actions taken",
            },
        ),
        migrations.AddIndex(
            model_name="notification",
            index=notify.indexes.ListIndex(
                fields=["recipient", "arrived"],
                instead=["recipient", "archived_at", "arrived"],
                name="notify_list_all",
                where=models.Q(("archived_at", None)),
            ),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=notify.indexes.ListIndex(
                fields=["recipient", "arrived"],
                instead=["recipient", "read_at", "arrived"],
                name="notify_list_unread",
                where=models.Q(("archived_at", None), ("read_at", None)),
            ),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=notify.indexes.ListIndex(
                fields=["recipient", "arrived"],
                instead=["recipient", "arrived"],
                name="notify_list_archived",
                where=models.Q(
                    ("archived_at__isnull", False),
                    models.Q(
                        ("expires_at", None),
                        ("expires_at__gt", models.F("archived_at")),
                        _connector="OR",
                    ),
                ),
            ),
        ),
    ]
