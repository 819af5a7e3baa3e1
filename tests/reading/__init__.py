"""How much of the code somebody has to read."""
