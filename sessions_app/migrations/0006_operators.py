"""A group whose members may see and operate live connections, and nothing else."""

from django.db import migrations

NAME = "Operators"
PERMISSIONS = {
    "view_liveconnection": "Can view live connection",
    "change_liveconnection": "Can change live connection",
}


def make_operators(apps, schema_editor):
    """A group that has this name already is left as it is: its members get no right unasked."""
    group, made = apps.get_model("auth", "Group").objects.get_or_create(name=NAME)
    if not made:
        return
    # Permissions are made after all migrations; those that are there already are not made twice.
    kinds = apps.get_model("contenttypes", "ContentType").objects
    kind, _ = kinds.get_or_create(app_label="streaming", model="liveconnection")
    permissions = apps.get_model("auth", "Permission").objects
    for codename, name in PERMISSIONS.items():
        permission, _ = permissions.get_or_create(
            codename=codename, content_type=kind, defaults={"name": name}
        )
        group.permissions.add(permission)


class Migration(migrations.Migration):

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions_app", "0005_session_report"),
    ]

    operations = [
        # The group stays when this is undone: it may have members by then.
        migrations.RunPython(make_operators, migrations.RunPython.noop),
    ]
