"""What is typed into a search box: a job's id, a SHA-256 or its beginning, a user, part of a name."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\Z", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]{6,64}\Z", re.IGNORECASE)


def found(rows: QuerySet[Any], text: str, *, job_id: str, also: tuple[str, ...] = ()) -> QuerySet[Any]:
    """The rows that `text` describes; `job_id` names the column of the id, `also` further text columns.

    An id, a digest, or ten digits of one that exists answer from an index alone; everything else reads
    names, one after another. (Fewer digits may be meant as part of a name, such as 202611.)
    """
    text = text.strip().replace("\x00", "")
    if not text:
        return rows
    if _UUID.match(text):
        return rows.filter(**{job_id: UUID(text)})
    if len(text) == 64 and _HEX.match(text):
        return rows.filter(sha256=text.lower())
    # A range, not LIKE: both databases can take it from the index. "g" follows every hex digit.
    begins = Q(sha256__gte=text.lower(), sha256__lt=f"{text.lower()}g")
    if len(text) >= 10 and _HEX.match(text) and rows.filter(begins).exists():
        return rows.filter(begins)
    owners = list(get_user_model().objects.filter(username__iexact=text).values_list("pk", flat=True))
    wanted = Q(filename__icontains=text) | Q(owner__in=owners)
    for column in also:
        wanted |= Q(**{f"{column}__icontains": text})
    if _HEX.match(text):
        wanted |= begins
    return rows.filter(wanted)
