"""What may happen to a job. The only writer of a job's state, and the only room that imports django_q."""
