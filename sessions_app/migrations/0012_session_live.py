"""What a live session's frames hold, while there is no recording that says so."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sessions_app", "0006_operators")]

    operations = [
        migrations.AddField(
            model_name="session",
            name="live",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text=(
                    "While it is live: fields of its frames, or the content type of its pictures."
                ),
            ),
        ),
    ]
