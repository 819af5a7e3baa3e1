"""What can go wrong with the stack, said to the person who started it."""


class StackError(Exception):
    """The stack cannot do what was asked; the message says why and what to do about it."""
