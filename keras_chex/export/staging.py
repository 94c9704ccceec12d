"""Writes beside the target and moves into place only what succeeded."""

import contextlib
import os
import pathlib
import shutil
import tempfile


@contextlib.contextmanager
def staged_file(path, suffix):
    """Gives a path to write to; what lies there at the end becomes `path`.

    The file is written into a new folder beside the target, so that moving it
    is one atomic rename. If the body raises, the folder is removed and what
    was at `path` before stays as it was.

    Args:
        path: `str` or `os.PathLike`, the file to write.
        suffix: str, the ending that `path` must have.

    Raises:
        TypeError: If `path` is not a path.
        ValueError: If `path` ends differently, is a folder, or cannot be
            written to. Nothing has been computed by then.
    """
    target = _checked_file(path, suffix)
    with _folder_beside(target) as folder:
        staged = folder / target.name
        yield staged
        os.replace(staged, target)


@contextlib.contextmanager
def staged_pair(path, suffix, companion_suffix):
    """Like `staged_file` for a file and a companion that describes it.

    Both appear, or an earlier pair stays. A process that is killed between
    the two renames leaves the new companion beside the old file.

    Args:
        path: `str` or `os.PathLike`, the file to write.
        suffix: str, the ending that `path` must have.
        companion_suffix: str, what the companion's name has in addition.

    Raises:
        TypeError: If `path` is not a path.
        ValueError: If `path` ends differently, one of the two is a folder, or
            they cannot be written. Nothing has been computed by then.
    """
    target = _checked_file(path, suffix)
    companion = target.with_name(target.name + companion_suffix)
    _refuse_folder(companion)
    with _folder_beside(target) as folder:
        staged = folder / target.name, folder / companion.name
        yield staged
        _replace_pair(*staged, target, companion, folder / "replaced")


def write_staged(staged, content):
    """Writes a whole file, or says which disk was in the way.

    Args:
        staged: `pathlib.Path` that a function above gave.
        content: bytes.

    Raises:
        OSError: If the disk is full, for one.
    """
    try:
        staged.write_bytes(content)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{len(content):,} bytes could not be written to "
            f"{str(staged.parents[1])!r}: {os.strerror(error.errno or 0)}. "
            "What was there before is still there",
        ) from error


@contextlib.contextmanager
def staged_folder(path, marker):
    """Like `staged_file` for a folder.

    An existing folder is replaced only if it is empty or holds `marker`: a
    mistyped path must not cost somebody a folder of other things.

    Args:
        path: `str` or `os.PathLike`, the folder to write.
        marker: str, the file by which an earlier export is known.

    Raises:
        TypeError: If `path` is not a path.
        ValueError: If `path` is a file, a folder of other things, or cannot be
            written to. Nothing has been computed by then.
    """
    target = _checked(path)
    if target.exists() and not _is_replaceable(target, marker):
        raise ValueError(
            "Argument `path` must be a new folder, an empty one, or an earlier "
            f"export (a folder with {marker!r} in it). Received: "
            f"path={str(path)!r}, which is something else"
        )
    with _folder_beside(target) as folder:
        staged = folder / target.name
        yield staged
        _replace_folder(staged, target, old=folder / "replaced")


def _checked(path):
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            "Argument `path` must be a string or an `os.PathLike`. Received: "
            f"{path!r} of type {type(path).__name__}"
        )
    # Absolute, so that "." and "model/.." have a name and a parent too.
    target = pathlib.Path(os.path.abspath(path))
    if not target.parent.is_dir():
        raise ValueError(
            "Argument `path` must lie in an existing folder. Received: "
            f"path={str(path)!r}; create {str(target.parent)!r} first"
        )
    return target


def _checked_file(path, suffix):
    target = _checked(path)
    if target.suffix != suffix:
        raise ValueError(
            f"Argument `path` must end with {suffix!r}. Received: "
            f"path={str(path)!r}"
        )
    _refuse_folder(target)
    return target


def _refuse_folder(target):
    if target.is_dir():
        raise ValueError(
            "Argument `path` must name a file. Received: "
            f"path={str(target)!r}, which is a folder"
        )


def _is_replaceable(target, marker):
    return target.is_dir() and (
        (target / marker).is_file() or not any(target.iterdir())
    )


@contextlib.contextmanager
def _folder_beside(target):
    try:
        folder = tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise ValueError(
            "Argument `path` must lie in a folder that can be written to. "
            f"Received: path={str(target)!r} ({error.strerror})"
        ) from error
    try:
        yield pathlib.Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace_pair(staged, staged_companion, target, companion, old):
    """Moves the companion, then the file; takes the first back on failure."""
    had_companion = companion.exists()
    if had_companion:
        shutil.copy2(companion, old)
    try:
        os.replace(staged_companion, companion)
        os.replace(staged, target)
    except BaseException:
        if had_companion:
            os.replace(old, companion)
        else:
            companion.unlink(missing_ok=True)
        raise


def _replace_folder(staged, target, old):
    if not target.exists():
        os.rename(staged, target)
        return
    # No system renames a folder over a full one: step aside, then back on
    # failure.
    os.rename(target, old)
    try:
        os.rename(staged, target)
    except OSError:
        os.rename(old, target)
        raise
