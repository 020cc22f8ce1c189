"""The page's own scripts and styles as they go over the wire: almost without comments, and compressed beforehand.

Scripts carry their types and reasons as comments, which nobody needs who only visits. Done when they are first
looked for, so that there is no build step: `find` and `collectstatic` see the lean files, beside each its `.gz`,
which WhiteNoise sends to whoever accepts it.
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import AppDirectoriesFinder
from django.core.files.storage import FileSystemStorage

_OURS = re.compile(r"uploads/.*\.(?:js|css)|django_htmx/htmx-2\.min\.js")
# Comments that have lines of their own, JSDoc's types within a line, indentation, and comments after code that hold
# neither a quote nor a slash: no string or regular expression can end behind such, so none began before it. To tell
# the others from strings takes a parser; they stay.
_ASIDE = re.compile(
    r"^[ \t]*(?:/\*(?:(?!\*/).)*\*/[ \t]*$|//[^\n]*$)\n?|^[ \t]+|/\*\* @\w+ (?:(?!\*/).)*\*/ ?"
    r"|[ \t]+// [^\n\"'`/]*$",
    re.DOTALL | re.MULTILINE,
)


def lean(source: str) -> str:
    """A script or stylesheet without types, indentation, and most comments.

    It must not contain a string that spans lines, or one with a type in JSDoc.
    """
    return _ASIDE.sub("", source)


class LeanFinder(AppDirectoriesFinder):
    """Finds lean copies of our own files, made under DATA_DIR as often as they change; nothing else."""

    def __init__(self, app_names: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(app_names, *args, **kwargs)
        self.made = FileSystemStorage(settings.DATA_DIR / "lean")

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, Any]]:
        for path, storage in super().list(ignore_patterns):
            if _OURS.fullmatch(path):
                self._make(path, Path(storage.path(path)))
                yield path, self.made
                yield f"{path}.gz", self.made

    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        plain = path.removesuffix(".gz")
        several = bool(kwargs.get("find_all") or kwargs.get("all") or (args and args[0]))
        nothing: list[str] = []
        source = super().find(plain) if _OURS.fullmatch(plain) else None
        if not source:
            return nothing
        self._make(plain, Path(str(source)))
        found = self.made.path(path)
        return [found] if several else found

    def _make(self, path: str, source: Path) -> None:
        target = Path(self.made.path(path))
        made_of = source.stat().st_mtime_ns
        if target.is_file() and target.stat().st_mtime_ns == made_of:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        data = source.read_bytes()
        if ".min." not in path:
            data = lean(data.decode()).encode()
        # The plain one last: it is what says that both are there.
        for name, content in ((f"{target}.gz", gzip.compress(data, mtime=0)), (f"{target}", data)):
            fresh = Path(f"{name}.{os.getpid()}")  # several web workers start at the same time
            fresh.write_bytes(content)
            os.utime(fresh, ns=(made_of, made_of))
            fresh.replace(name)
