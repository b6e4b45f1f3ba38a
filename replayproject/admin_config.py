"""Django's admin as an app, with our site in it."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class ReplayAdminConfig(AdminConfig):
    """`django.contrib.admin`, for INSTALLED_APPS."""

    default_site = "replayproject.admin_site.ReplayAdminSite"
