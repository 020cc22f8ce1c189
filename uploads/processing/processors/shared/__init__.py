"""What processors of several kinds use."""
