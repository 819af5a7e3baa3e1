"""`make bench`: what a checkout costs in each pattern, beside the same four calls without any durability."""
