"""Faults on purpose: does the product keep its promises? Run it as `python -m tests.chaos --help`."""
