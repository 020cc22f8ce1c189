"""What a job may become, and the only place that decides it."""
