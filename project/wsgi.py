"""What Granian serves."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from uploads.intake.server.lingering_close import Draining

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
application = Draining(get_wsgi_application(), max_bytes=settings.UPLOADS_DRAIN_BYTES)
