"""Results as cards."""
