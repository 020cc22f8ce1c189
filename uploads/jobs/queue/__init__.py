"""Broker and messages: how a job wakes a worker."""
