"""Errors of the stack, for the person who started it."""


class StackError(Exception):
    """The stack cannot do what the user wants; the message says why, and what to do about it."""


class NotReadyError(StackError):
    """What was awaited was not ready in time."""
