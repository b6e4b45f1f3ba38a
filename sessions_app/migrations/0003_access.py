"""Sessions get an owner and groups; what only staff might watch is private from now on."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def staff_is_private(apps, schema_editor):
    apps.get_model("sessions_app", "Session").objects.filter(access="staff").update(
        access="private"
    )


def private_is_staff(apps, schema_editor):
    """Nothing becomes visible to more people than before."""
    apps.get_model("sessions_app", "Session").objects.filter(
        access__in=("private", "unlisted")
    ).update(access="staff")


class Migration(migrations.Migration):

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("sessions_app", "0002_import_job_attempts"),
    ]

    operations = [
        migrations.AddField(
            model_name="session",
            name="groups",
            field=models.ManyToManyField(blank=True, help_text="Whose members may watch.", related_name="replay_sessions", to="auth.group"),
        ),
        migrations.AddField(
            model_name="session",
            name="owner",
            field=models.ForeignKey(blank=True, help_text="May watch, change and share it.", null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="replay_sessions", to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name="session",
            name="access",
            field=models.CharField(choices=[("public", "everyone"), ("unlisted", "whoever has the address"), ("login", "whoever is logged in"), ("private", "owner, groups and staff")], default="public", help_text="Who may watch.", max_length=10),
        ),
        migrations.RunPython(staff_is_private, private_is_staff),
    ]
