"""The one exception for what a user can mend."""


class InputError(Exception):
    """Bad input. The message names the file, the case, the key, the value and what is allowed."""
