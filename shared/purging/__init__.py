"""What is deleted when its retention is over."""
