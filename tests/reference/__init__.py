"""The pages of `docs/reference/`, made from the code that they are about. `make reference` writes them."""
