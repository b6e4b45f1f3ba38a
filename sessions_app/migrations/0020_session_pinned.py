"""A session that is pinned is never removed by age or for want of room."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("sessions_app", "0012_session_live"),
    ]

    operations = [
        migrations.AddField(
            model_name="session",
            name="pinned",
            field=models.BooleanField(default=False, help_text="Stays, however old it is."),
        ),
    ]
