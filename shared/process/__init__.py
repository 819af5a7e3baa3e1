"""The loops of a process: how they run, show that they make progress, and crash on purpose in tests."""
