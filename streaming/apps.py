"""Django's handle on the app that serves viewers."""

# Before Daphne's app, which would install a reactor of its own.
from .server import reactor as _installed  # noqa: F401  # isort: skip

from django.apps import AppConfig


class StreamingConfig(AppConfig):
    name = "streaming"
    verbose_name = "Streaming"
    default_auto_field = "django.db.models.BigAutoField"
