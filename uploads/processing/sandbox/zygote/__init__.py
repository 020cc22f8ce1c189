"""The process that forks a child for each file, and watches it."""
