"""`make audit`: the rules of the books, checked across the running services."""
