"""Batching: items that arrive while others are processed are processed together (group commit, micro-batches)."""
