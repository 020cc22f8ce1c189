"""The worker's side of the sandbox."""
