"""How bytes come in: limits first, then the body, streamed once to disk, then one call to the lifecycle."""
