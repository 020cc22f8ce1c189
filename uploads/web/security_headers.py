"""What a browser may load and run on our pages: Content Security Policy (CSP level 3) and Permissions-Policy."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
# Features no page of ours asks for; a photo taken for a file field is not the "camera" meant here.
PERMISSIONS = (
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), midi=(), "
    "payment=(), usb=()"
)


class ContentSecurityPolicyMiddleware:
    """Sets both headers on every response that does not carry its own (a download is stricter).

    Who signs out, here or in the admin, also leaves nothing of theirs in the browser: the page's script sees to
    that, and over HTTPS, where browsers heed it, so does Clear-Site-Data.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.method == "POST" and request.path.endswith("/logout/") and request.is_secure():
            response.headers["Clear-Site-Data"] = '"storage"'
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return response
