"""Paths of the pages."""

from django.urls import URLPattern, path

from .views import pages

app_name = "streaming"

urlpatterns: list[URLPattern] = [
    path("", pages.library, name="library"),
    path("compare/", pages.compare, name="compare"),
    path("sessions/<slug:slug>/", pages.player, name="player"),
]
