"""What every service process has in common: its entry, and for workers the attachment to the store."""
