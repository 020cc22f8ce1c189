"""Where the upload page answers."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from uploads.web import actions, views

urlpatterns = [
    path("", views.index, name="index"),
    path("live/", views.live, name="live"),
    path("jobs/<uuid:job_id>/retry/", actions.act, {"verb": "retry"}, name="retry"),
    path("jobs/<uuid:job_id>/cancel/", actions.act, {"verb": "cancel"}, name="cancel"),
    path("jobs/<uuid:job_id>/delete/", actions.act, {"verb": "delete"}, name="delete"),
    path("jobs/<uuid:job_id>/delete/sure/", actions.confirm_delete, name="confirm_delete"),
    path("jobs/", actions.act_on_many, name="act_on_many"),
    path("jobs/download/", actions.download_many, name="download_many"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("language/", set_language, name="set_language"),
    # Browsers ask here where a page names no icon: a download, JSON, a problem.
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}uploads/icon.svg"), name="favicon"),
]
