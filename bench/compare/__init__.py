"""`make compare`: the same checkouts and the same faults in both styles, on a private stack, as a one-page report."""
