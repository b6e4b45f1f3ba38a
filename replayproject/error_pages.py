"""What Django's error pages and mails show of the settings and of a request."""

from __future__ import annotations

from typing import Any

from django.views.debug import SafeExceptionReporterFilter

from streaming.redaction import redacted


class RedactingFilter(SafeExceptionReporterFilter):
    """As Django's, which hides values by the name of a setting, and the passwords of addresses."""

    def cleanse_setting(self, key: str | int, value: Any) -> Any:
        """The value as it may be shown."""
        cleansed = super().cleanse_setting(key, value)
        return redacted(cleansed) if isinstance(cleansed, str) else cleansed
