"""What finds and mends lost work: rescue, cleanup, consistency."""
