"""What every service's HTTP has in common, on both ends."""
