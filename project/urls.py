"""Where each face answers."""

from django.urls import URLPattern, URLResolver, include, path

from uploads.admin import site

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("uploads.api.urls")),
    path("admin/", site.urls),
    path("", include("uploads.web.urls")),
]

handler400 = "uploads.api.early.bad_request"
