"""Paths of the pages."""

from django.urls import URLPattern, path

from . import views

app_name = "streaming"

urlpatterns: list[URLPattern] = [
    path("", views.library, name="library"),
    path("sessions/<slug:slug>/", views.player, name="player"),
]
