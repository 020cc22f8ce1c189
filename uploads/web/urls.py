"""Where the upload page answers."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from uploads.web import views

urlpatterns = [
    path("", views.index, name="index"),
    path("live/", views.live, name="live"),
    path("jobs/<uuid:job_id>/retry/", views.act, {"verb": "retry"}, name="retry"),
    path("jobs/<uuid:job_id>/cancel/", views.act, {"verb": "cancel"}, name="cancel"),
    path("jobs/<uuid:job_id>/delete/", views.act, {"verb": "delete"}, name="delete"),
    path("jobs/<uuid:job_id>/delete/sure/", views.confirm_delete, name="confirm_delete"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("language/", set_language, name="set_language"),
    # Browsers ask here where a page names no icon: a download, JSON, a problem.
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}uploads/icon.svg"), name="favicon"),
]
