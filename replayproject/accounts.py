"""Logging in and out, and a forgotten password: Django's views in the pages' style.

Passwords are reset by e-mail, so only where EMAIL_URL says how mail is sent.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import views
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from .login_limit import View, limit_logins

FORM = "streaming/account.html"


def _page(title: str, button: str = "", message: str = "") -> dict[str, Any]:
    """How `View.as_view` is told to show the pages' own form."""
    context = {"title": title, "button": button, "message": message}
    return {"template_name": FORM, "extra_context": context}


def _with_mail(view: View) -> View:
    """404 where no mail can be sent."""

    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.EMAIL_URL:
            raise Http404("no EMAIL_URL")
        return view(request, *args, **kwargs)

    return shown


class Login(views.LoginView):
    """The log-in page; it offers a reset, and the provider's login, where there is one."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            **kwargs,
            may_reset=bool(settings.EMAIL_URL),
            oidc_name=settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        )


login = limit_logins(Login.as_view(**_page("Log in", "Log in")))
ask = views.PasswordResetView.as_view(
    **_page("Reset the password", "Send a link", "A link to choose a new password comes by e-mail.")
)
asked = views.PasswordResetDoneView.as_view(
    **_page("Look at your mail", "", "If this address belongs to a user, a link is on its way.")
)
choose = views.PasswordResetConfirmView.as_view(**_page("Choose a new password", "Save"))
chosen = views.PasswordResetCompleteView.as_view(
    **_page("The password is changed", "", "You can log in with it now.")
)

urlpatterns: list[URLPattern] = [
    path("login/", login, name="login"),
    path("logout/", views.LogoutView.as_view(), name="logout"),
    # Each costs a mail: as many a minute as failed logins.
    path("password/", _with_mail(limit_logins(ask)), name="password_reset"),
    path("password/sent/", _with_mail(asked), name="password_reset_done"),
    path("password/<uidb64>/<token>/", _with_mail(choose), name="password_reset_confirm"),
    path("password/changed/", _with_mail(chosen), name="password_reset_complete"),
]
