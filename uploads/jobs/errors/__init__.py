"""What people do with error records."""
