"""Resumable uploads over tus 1.0.0: protocol, headers, appending."""
