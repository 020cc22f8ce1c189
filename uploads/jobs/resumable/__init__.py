"""Resumable uploads as rows: opened, taken over, moved on, joined, finished."""
