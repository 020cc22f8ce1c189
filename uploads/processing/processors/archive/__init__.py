"""One kind of file, `archive`: its processor, and what that is made of."""

from uploads.processing.processors.archive.processor import LIMITS, TYPES, process

__all__ = ["LIMITS", "TYPES", "process"]
