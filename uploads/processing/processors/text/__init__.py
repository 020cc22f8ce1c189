"""One kind of file, `text`: its processor, and what that is made of."""

from uploads.processing.processors.text.processor import LIMITS, TYPES, process

__all__ = ["LIMITS", "TYPES", "process"]
