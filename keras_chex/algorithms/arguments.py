"""Checks of arguments that several modules share."""


def check_share(name, value):
    """Raises a `ValueError` that names the argument unless `0 <= value <= 1`.

    >>> check_share("blend", 1.5)
    Traceback (most recent call last):
    ValueError: Argument `blend` must be between 0 and 1. Received: blend=1.5
    """
    if not 0.0 <= value <= 1.0:
        raise ValueError(
            f"Argument `{name}` must be between 0 and 1. "
            f"Received: {name}={value}"
        )
