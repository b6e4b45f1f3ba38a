"""Every path of the service, each room mounted once."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from streaming.views.metrics import metrics

from .api import api
from .health import livez, readyz
from .login_limit import limit_logins

urlpatterns = [
    # Before the admin's own, which it is.
    path("admin/login/", limit_logins(admin.site.login)),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("", include("replayproject.accounts")),
    *([path("", include("replayproject.oidc"))] if settings.OIDC_ISSUER else []),
    path("", include("streaming.urls")),
]
