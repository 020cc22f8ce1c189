"""What archives have in common: an inventory of what is inside, and bounds on unpacking it."""
