"""Django's handle on the app that holds what was recorded."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "sessions_app"
    verbose_name = "Recorded sessions"
    default_auto_field = "django.db.models.BigAutoField"
