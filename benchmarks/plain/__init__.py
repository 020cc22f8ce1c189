"""The peer of small uploads: a plain Django view that saves a FileField, on the same database settings."""
