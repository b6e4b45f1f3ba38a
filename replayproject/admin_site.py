"""The admin lets operators in who are not staff: each page shows them what they have rights for."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest

from sessions_app.access import Action, decide
from sessions_app.visitors import visitor_of_user


class AdminLogin(AdminAuthenticationForm):
    """The admin's log-in form, for whoever may enter."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Raises: ValidationError, the same as for a wrong password."""
        AuthenticationForm.confirm_login_allowed(self, user)
        if not decide(visitor_of_user(user), Action.ADMIN).allowed:
            raise self.get_invalid_login_error()


class ReplayAdminSite(AdminSite):
    """Django's admin, entered by the rule of `sessions_app/access.py`."""

    login_form = AdminLogin

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether this visitor may enter at all."""
        return decide(visitor_of_user(request.user), Action.ADMIN).allowed
