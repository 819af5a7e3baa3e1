"""Deletes rows when their retention is over."""
