"""What a command raises to end with words for the person at the terminal."""


class CommandError(Exception):
    """The command cannot do what was asked; the text says what was wrong, where, and what to do next."""
