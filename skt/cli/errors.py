"""The error of the command line."""

__all__ = ["MAX_LISTED", "InputError", "listed", "short"]

# Names that a message lists before it stops.
MAX_LISTED = 10
# Characters of a name that a line shows; of longer ones the beginning and the end.
LONGEST, ENDING = 44, 14


class InputError(ValueError):
    """What the user gave cannot be used; the message says what to do."""


def short(name):
    """Return a name that fits a line."""
    name = str(name)
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - ENDING - 1]}…{name[-ENDING:]}"


def listed(names):
    """Names separated by commas, the first few of them."""
    names = [short(name) for name in names]
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more
