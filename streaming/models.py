"""A model without a table, for the admin's pages of live connections."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class LiveConnection(models.Model):
    """A viewer's connection: a name for permissions; its figures come from the registry.

    `view`: see the figures. `change`: reset, disconnect, pause.
    """

    class Meta:
        managed = False
        default_permissions = ("view", "change")
        verbose_name = "live connection"
        verbose_name_plural = "live connections"
        # No rows, hence no order; the list sorts by what the registry knows.
        ordering: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return f"live connection {self.pk}"
