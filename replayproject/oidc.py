"""Logging in at an OpenID Connect provider, where OIDC_ISSUER names one.

django-allauth does the conversation (discovery, authorization code with PKCE, token, userinfo).
Here is what deviates from it:

1. The signature of the ID token is always checked, also where TLS would do.
2. `sub` of the ID token and of userinfo must be the same, as the standard demands.
3. Users are found by the provider's `sub` and by nothing else: an e-mail address proves nothing.
4. Who is staff or an operator is what a claim says, each time that somebody logs in.
5. There is no page of allauth: what fails is said on a page of ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import requests
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib.auth.models import Group
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import URLPattern, path

from .oidc_rights import rights_of

logger = logging.getLogger("replayproject.login")

PROVIDER = "oidc"
"""The part of the addresses that names the provider."""

OPERATORS = "Operators"


class CheckedTokens(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # it has no types
    """allauth's conversation, with the token's signature checked by the provider's keys."""

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> Any:
        self.did_fetch_access_token = False
        return super().complete_login(request, app, token, **kwargs)


class Adapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # it has no types
    """What allauth asks of the site."""

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Whom the provider lets in becomes a user; there is no form."""
        return True

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """The provider's answer has come."""
        data = sociallogin.account.extra_data
        subjects = {part["sub"] for part in data.values() if part}
        if not data.get("id_token") or len(subjects) != 1:
            why = "expected an ID token and userinfo of one user"
            raise ImmediateHttpResponse(_failed(request, why))
        if sociallogin.is_existing:
            if not sociallogin.user.is_active:
                raise ImmediateHttpResponse(_failed(request, "this user is locked out", 403))
            _give_rights(sociallogin.user, _claims(data))

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> Any:
        """Somebody is here for the first time."""
        user = super().save_user(request, sociallogin, form)
        _give_rights(user, _claims(sociallogin.account.extra_data))
        return user

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None,
        extra_context: Any = None,
    ) -> None:  # fmt: skip
        """Something was refused: by the provider, or because its answer is not right."""
        raise ImmediateHttpResponse(_failed(request, _said(exception) or str(error)))


def _claims(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**(data.get("id_token") or {}), **(data.get("userinfo") or {})}


def _give_rights(user: Any, claims: Mapping[str, Any]) -> None:
    """Set what the provider decides; a superuser stays staff."""
    rights = rights_of(
        claims, settings.OIDC_RIGHTS_CLAIM, settings.OIDC_STAFF, settings.OIDC_OPERATORS
    )
    if rights.staff is not None and not user.is_superuser and user.is_staff != rights.staff:
        user.is_staff = rights.staff
        user.save(update_fields=["is_staff"])
    if rights.operator is not None:
        group = Group.objects.filter(name=OPERATORS).first()
        if group is None:
            logger.warning("the group %s is missing: nobody becomes an operator", OPERATORS)
        elif rights.operator:
            user.groups.add(group)
        else:
            user.groups.remove(group)


def _said(exception: BaseException | None) -> str:
    """An exception in one line, without what a provider may have put into it."""
    return "" if exception is None else f"{type(exception).__name__}: {exception}"[:200]


def _failed(request: HttpRequest, why: str, status: int = 401) -> HttpResponse:
    logger.warning("a login at %s failed: %s", settings.OIDC_ISSUER, why)
    context = {
        "title": "The login failed",
        "message": f"{settings.OIDC_NAME} did not log you in. Try again, or ask whoever runs this "
        "site: its log says why.",
    }
    if status == 403:
        context["message"] = "This user may not log in here. Ask whoever runs this site."
    if status == 503:
        context["message"] = f"{settings.OIDC_NAME} cannot be reached. Try again in a minute."
    return render(request, "streaming/account.html", context, status=status)


def _guarded(view: Callable[[HttpRequest, str], HttpResponseBase]) -> Any:
    """A view of the conversation: whatever the provider answers, it is never a server error."""

    def answer(request: HttpRequest, provider_id: str) -> HttpResponseBase:
        # allauth could also connect a provider's user to whoever is logged in: not offered here.
        if provider_id != PROVIDER or request.GET.get("process", "login") != "login":
            raise Http404("no such way to log in")
        try:
            response = view(request, provider_id)
        except requests.RequestException as error:
            response = _failed(request, _said(error), 503)
        except (KeyError, TypeError, ValueError) as error:
            # A document of the provider is not what the standard says.
            response = _failed(request, _said(error))
        response["Cache-Control"] = "private, no-store"
        return response

    return answer


def _login(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    view = OAuth2LoginView.adapter_view(CheckedTokens(request, provider_id))
    answer: HttpResponseBase = view(request)
    return answer


def _callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    view = OAuth2CallbackView.adapter_view(CheckedTokens(request, provider_id))
    answer: HttpResponseBase = view(request)
    return answer


urlpatterns: list[URLPattern] = [
    # By these names allauth looks for them.
    path("login/<provider_id>/", _guarded(_login), name="openid_connect_login"),
    path("login/<provider_id>/callback/", _guarded(_callback), name="openid_connect_callback"),
]
