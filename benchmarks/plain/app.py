import os

import django
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.plain.settings")
django.setup()

from benchmarks.plain.models import Document  # noqa: E402

with connection.schema_editor() as editor:
    if Document._meta.db_table not in connection.introspection.table_names():
        editor.create_model(Document)
connection.close()


def upload(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        return HttpResponse("ok")
    row = Document.objects.create(file=request.FILES["file"])
    return JsonResponse({"id": row.pk, "name": row.file.name}, status=202)


urlpatterns = [path("", upload), path("upload", upload)]
application = WSGIHandler()
