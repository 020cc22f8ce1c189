"""Logs and metrics: the second thing, beside the codes, that every room may use."""
