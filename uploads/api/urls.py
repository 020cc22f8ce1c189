"""Where the API answers, and what holds for each of its answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from uploads.api.api import api
from uploads.api.problems import problem
from uploads.api.routes import health, metrics, tus

View = Callable[..., HttpResponseBase]


def _face(view: View) -> View:
    """HEAD wherever there is GET, problems instead of Django's pages, and no shared caches."""

    @csrf_exempt
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        method = request.method
        if method == "HEAD":
            request.method = "GET"  # the server leaves the body out
        try:
            response = view(request, *args, **kwargs)
        except Http404:
            response = problem("not_found")
        finally:
            request.method = method
        if isinstance(response, HttpResponseNotAllowed):
            response = not_allowed(response["Allow"].split(", "))
        response.setdefault("Cache-Control", "private, no-cache")
        patch_vary_headers(response, ("Cookie", "Authorization"))
        return response

    return answer


def not_allowed(methods: list[str]) -> HttpResponse:
    allowed = {*methods, "HEAD"} if "GET" in methods else {*methods}
    return problem("method_not_allowed", headers={"Allow": ", ".join(sorted(allowed))})


def _watched(view: View) -> View:
    """A page that is only ever looked at."""

    @csrf_exempt
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponseBase:
        return view(request) if request.method in ("GET", "HEAD") else not_allowed(["GET"])

    return answer


def _nothing_here(request: HttpRequest) -> HttpResponse:
    return problem("not_found")


def _faces(patterns: list[Any]) -> list[URLPattern | URLResolver]:
    return [
        # The two that describe the API take any method, unless they are told not to.
        URLPattern(
            one.pattern,
            _face(_watched(one.callback) if one.name in ("openapi-json", "openapi-view") else one.callback),
            one.default_args,
            one.name,
        )
        for one in patterns
    ]


_patterns, _app_name, _namespace = api.urls

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", _watched(health.healthz), name="healthz"),
    path("readyz", _watched(health.readyz), name="readyz"),
    path("metrics", _watched(metrics.metrics), name="metrics"),
    path("api/tus", tus.uploads),
    path("api/tus/", include(tus.urlpatterns)),
    path("api/", include((_faces(_patterns), _app_name), namespace=_namespace)),
    re_path(r"^api(?:/|$)", csrf_exempt(_nothing_here)),
]
