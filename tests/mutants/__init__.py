"""Mutation tests from a list: bugs that are planted on purpose, each of which some test must notice. `make mutants`."""
