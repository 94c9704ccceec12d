"""Locks between processes that work on the same grid.

The operating system releases a lock when its process ends, however it ends:
no lock can be left over. The files stay, empty. Needs POSIX.
"""

import contextlib


class Busy(Exception):
    """Another process holds the lock."""


@contextlib.contextmanager
def locked(path, wait=False):
    """Holds the lock of a file.

    Args:
        path: `pathlib.Path`, made if needed.
        wait: bool, wait for another process instead of raising.

    Raises:
        Busy: If another process, or another part of this one, holds it.
    """
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise Busy(f"{path} is held by another process") from error
        yield


def is_locked(path):
    """Whether a process holds the lock of a file."""
    if not path.exists():
        return False
    try:
        with locked(path):
            return False
    except Busy:
        return True
