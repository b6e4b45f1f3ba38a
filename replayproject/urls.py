"""Every path of the service, each room mounted once."""

from django.contrib import admin
from django.urls import include, path

from streaming.views.metrics import metrics

from .api import api
from .health import livez, readyz

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("", include("streaming.urls")),
]
