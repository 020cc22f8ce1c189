"""One kind of file, `table`: its processor, and what that is made of."""

from uploads.processing.processors.table.processor import LIMITS, TYPES, process

__all__ = ["LIMITS", "TYPES", "process"]
