"""`make compare`: the same checkouts and the same faults in both styles, on a stack of its own, as one page to read."""
