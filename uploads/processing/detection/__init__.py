"""What a file is, from its content and its name."""
