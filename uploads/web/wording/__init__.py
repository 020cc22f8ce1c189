"""What the page says, in the language of who reads it."""
