"""How often a process's garbage collector runs."""

import gc

# Objects that are created, and not freed, between two collections of the youngest generation; Python's own 700 are
# reached several times in one request. Nearly all objects of a request are freed when their last reference goes, which
# needs no collector: it is there for cycles, such as those of errors and their tracebacks.
YOUNGEST = 50_000


def make_rare() -> None:
    """Collect seldom, and never visit what exists by now: modules, classes and the app. Call once they are loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNGEST)
