"""The loops of a process: how they run, show that they live, and can be told to crash."""
