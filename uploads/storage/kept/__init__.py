"""Whole files and what was made of them."""
