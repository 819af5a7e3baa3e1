"""`make bench`: what a checkout costs in each style, beside the same four calls without any durability."""
