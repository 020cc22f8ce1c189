"""What is asked of the operating system; nothing here knows Django."""
