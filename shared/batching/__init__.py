"""What waits for the same thing is done together (micro-batches, group commit)."""
