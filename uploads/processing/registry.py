"""Which processor takes which content type, and what one file of its kind may cost.

A registry is a dictionary, kind -> dotted path, imported on first use. Three sources, the first wins:
the setting UPLOADS_PROCESSORS (handed in as `extra`), entry points of the group "wharfinger.processors",
and BUILTIN below. It never imports to answer `kinds()`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from uploads.processing.base import Limits, Processor

GROUP = "wharfinger.processors"
DEFAULT = "default"

BUILTIN: dict[str, str] = {
    "image": "uploads.processing.processors.image",
    "pdf": "uploads.processing.processors.pdf",
    "table": "uploads.processing.processors.table.processor",
    "archive": "uploads.processing.processors.archive.processor",
    "text": "uploads.processing.processors.text.processor",
    DEFAULT: "uploads.processing.processors.default",
}

# Kinds of ours that import no native library.
LIGHT = ("archive", "text", DEFAULT)

_KIND = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?")
_FIELDS = {one.name: str(one.type) for one in fields(Limits)}  # the annotation: "int" or "float"


_TRY = """
import sys
from uploads.processing.registry import Registry
named = dict(one.split("=", 1) for one in sys.argv[1:])
for kind in named:
    Registry(named).get(kind)
"""


class Registry:
    """The processors of one installation. `extra` is kind -> "package.module" or "package.module:object".

    `installed` are those of entry points, where somebody has looked for them already: then nothing is imported here.
    Raises ValueError for a kind or a path that cannot be one.
    """

    def __init__(self, extra: Mapping[str, str], installed: Mapping[str, str] | None = None) -> None:
        self.installed = _entry_points() if installed is None else dict(installed)
        paths = self.installed | {str(kind): str(path) for kind, path in extra.items()}
        for kind, path in paths.items():
            if not _KIND.fullmatch(kind):
                raise ValueError(f"{kind!r} cannot be a kind of file: use a-z, 0-9, - and _.")
            if not _PATH.fullmatch(path):
                raise ValueError(f"Processor {kind}={path!r}: not a path such as package.module.")
        self._paths = paths | {kind: path for kind, path in BUILTIN.items() if kind not in paths}
        self._loaded: dict[str, Processor] = {}
        self._types: dict[str, tuple[str, ...]] = {}

    def kinds(self) -> tuple[str, ...]:
        """All kinds, in the order in which they are asked; nothing is imported."""
        return (*(kind for kind in self._paths if kind != DEFAULT), DEFAULT)

    def is_builtin(self, kind: str) -> bool:
        """Whether our own processor takes this kind, and nobody has put another in its place."""
        return self._paths.get(kind) == BUILTIN.get(kind)

    def light_kinds(self) -> tuple[str, ...]:
        """Kinds whose processors import no native library; none where texts, which most are, are not among them."""
        return tuple(filter(self.is_builtin, LIGHT)) if self.is_builtin("text") else ()

    def preload(self, kinds: Iterable[str]) -> None:
        """Import these processors. Raises ImportError, with a sentence naming the first broken one."""
        for kind in kinds:
            self.get(kind)

    def types(self) -> dict[str, tuple[str, ...]]:
        """The content types of each kind. Imports those that are not known. Raises ImportError."""
        return {kind: self._types_of(kind) for kind in self.kinds()}

    def learn(self, types: Mapping[str, Sequence[str]]) -> None:
        """Take the content types of each kind from another registry, so that nothing is imported to learn them."""
        self._types = {kind: tuple(some) for kind, some in types.items()}

    def _types_of(self, kind: str) -> tuple[str, ...]:
        if kind not in self._types:
            self._types[kind] = tuple(self.get(kind).TYPES)
        return self._types[kind]

    def get(self, kind: str) -> Processor:
        """The processor of a kind, imported now if it was not yet. Raises KeyError, ImportError."""
        if kind not in self._loaded:
            self._loaded[kind] = _load(kind, self._paths[kind])
        return self._loaded[kind]

    def for_type(self, content_type: str) -> tuple[str, Processor]:
        """(kind, processor) for a content type: see `kind_for`. Raises ImportError."""
        kind = self.kind_for(content_type)
        return kind, self.get(kind)

    def kind_for(self, content_type: str) -> str:
        """The kind that takes a content type; an exact type beats "image/*", nothing means default."""
        wanted = content_type.partition(";")[0].strip().lower()
        family = wanted.partition("/")[0] + "/*"
        kinds = self._kinds
        return kinds.get(wanted) or kinds.get(family) or DEFAULT

    @cached_property
    def _kinds(self) -> dict[str, str]:
        """Content type -> kind: the first that wants it."""
        kinds: dict[str, str] = {}
        for kind, types in self.types().items():
            for one in types:
                kinds.setdefault(one, kind)
        return kinds

    def check(self, overrides: Mapping[str, object]) -> None:
        """See before the first file that each module is there and each override makes sense; runs none of them.

        The packages that modules lie in are imported. Raises ValueError, ImportError, with a sentence.
        """
        for kind, path in self._paths.items():
            module = path.partition(":")[0]
            try:
                found = find_spec(module)
            except Exception as error:  # a stranger's package may raise anything
                raise ImportError(f"Processor {kind}={path} cannot be imported ({error}).") from error
            if found is None:
                raise ImportError(f"Processor {kind}={path}: there is no module {module}.")
        for name, override in overrides.items():
            self._known(name)
            _checked(name, override)

    def try_strangers(self) -> None:
        """Import, in a process of its own, the processors that are not ours: these a worker could die of.

        Costs nothing where there are none. Raises ImportError, with a sentence naming the first broken one.
        """
        strangers = {kind: path for kind, path in self._paths.items() if BUILTIN.get(kind) != path}
        if not strangers:
            return
        import subprocess  # not in every zygote, which is forked for each file: it is large

        done = subprocess.run(
            [sys.executable, "-P", "-c", _TRY, *(f"{kind}={path}" for kind, path in strangers.items())],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            said = (done.stderr.strip() or f"it ended with status {done.returncode}").splitlines()[-1]
            raise ImportError(said.removeprefix("ImportError: "))

    def _known(self, name: str) -> None:
        if name != "*" and name not in self._paths:
            known = ", ".join(self.kinds())
            raise ValueError(f"Limits for {name!r}: there is no such kind of file (there are {known}).")

    def limits(self, kind: str, overrides: Mapping[str, Mapping[str, object]]) -> Limits:
        """What a file of this kind may cost: the processor's LIMITS, then overrides["*"], then [kind].

        Raises ValueError, naming it, for an unknown kind or field, or a value that is no positive number.
        """
        for name in (kind, *overrides):
            self._known(name)
        limits = getattr(self.get(kind), "LIMITS", Limits())
        for name in ("*", kind):
            limits = replace(limits, **_checked(name, overrides.get(name, {})))
        return limits


def _entry_points() -> dict[str, str]:
    """kind -> path of what other packages have installed."""
    from importlib.metadata import entry_points  # a seventh of a light zygote's memory

    found: dict[str, str] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, point.value)
    return found


def _load(kind: str, path: str) -> Processor:
    module, _, attribute = path.partition(":")
    try:
        found: object = import_module(module)
        for name in filter(None, attribute.split(".")):
            found = getattr(found, name)
    except Exception as error:  # a stranger's module may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise ImportError(f"Processor {kind}={path} cannot be imported ({reason}).") from error
    types = getattr(found, "TYPES", None)
    if not isinstance(types, tuple | list) or not all(isinstance(one, str) for one in types):
        raise ImportError(f"Processor {kind}={path} has no TYPES, a tuple of content types.")
    if not callable(getattr(found, "process", None)):
        raise ImportError(f"Processor {kind}={path} has no function process(job).")
    if not isinstance(getattr(found, "LIMITS", Limits()), Limits):
        raise ImportError(f"Processor {kind}={path} has LIMITS that are no uploads.processing.base.Limits.")
    return cast(Processor, found)


def _checked(kind: str, override: object) -> dict[str, int | float]:
    result: dict[str, int | float] = {}
    if not isinstance(override, Mapping):
        raise ValueError(f"Limits for {kind!r} must be an object of names and numbers.")
    for name, value in override.items():
        if name not in _FIELDS:
            known = ", ".join(_FIELDS)
            raise ValueError(f"Limits for {kind!r}: there is no limit {name!r} (there are {known}).")
        whole = _FIELDS[name] == "int"
        right = isinstance(value, int) if whole else isinstance(value, int | float)
        if isinstance(value, bool) or not right or not 0 < cast(float, value) < float("inf"):
            number = "a whole number" if whole else "a number"
            raise ValueError(f"Limits for {kind!r}: {name} must be {number} above 0, not {value!r}.")
        result[name] = cast(float, value)
    return result
