"""The per-user cache folder, and files that appear in it whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class CacheFolderError(RuntimeError):
    """The cache folder cannot be used: not ours, open to others, or not writable."""


def cache_dir(*parts: str) -> Path:
    """Folder for what we keep between runs, made when it is missing.

    Parameters
    ----------
    *parts : str
        Names of nested folders, such as ``"driver"``.

    Returns
    -------
    Path
        ``$ENZYME_SHT_CACHE``, or ``enzyme-sht`` in ``$XDG_CACHE_HOME``, ``~/Library/Caches``
        (macOS) or ``~/.cache``, followed by `parts`.

    Raises
    ------
    CacheFolderError
        If a folder on the way is a symbolic link, belongs to somebody else, may be written by
        others, or cannot be made.

    Notes
    -----
    Machine code and executables are loaded from here, so whoever can write here can run code as
    this user. That is why the folders are made with mode 0700 and checked each time.
    """
    for part in parts:
        if part in ("", ".", "..") or "/" in part or os.sep in part:
            raise ValueError(f"`cache_dir(*parts)` needs plain folder names. Got {part!r}.")
    folder = _base()
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_parent(folder.parent)
        for part in (None, *parts):
            if part is not None:
                folder = folder / part
            folder.mkdir(mode=0o700, exist_ok=True)
            _check_private(folder)
    except OSError as error:
        raise CacheFolderError(
            f"The cache folder `{folder}` must be a folder that this user can make and write. Got"
            f" {error.strerror}. Point ENZYME_SHT_CACHE at one that is."
        ) from error
    return folder


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part.

    Parameters
    ----------
    path : Path
        Where to write; its folder must exist.
    data : bytes
        The whole content.
    mode : int
        Permissions of the file: 0o600, or 0o700 for an executable.
    """
    with open_atomically(path, mode) as file:
        file.write(data)


@contextmanager
def open_atomically(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """As `write_atomically`, for content that comes in pieces; an exception leaves no trace."""
    # In the same folder, since a rename is atomic only within one file system.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _base() -> Path:
    if own := os.environ.get("ENZYME_SHT_CACHE"):
        return Path(own).expanduser().absolute()
    # A relative XDG_CACHE_HOME is to be ignored, says the XDG base directory specification.
    if (xdg := os.environ.get("XDG_CACHE_HOME")) and Path(xdg).is_absolute():
        return Path(xdg) / "enzyme-sht"
    try:
        home = Path.home()
    except RuntimeError as error:
        raise CacheFolderError(
            "The cache folder needs a home folder. Got none for this user. Set ENZYME_SHT_CACHE."
        ) from error
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "enzyme-sht"


def _check_parent(folder: Path) -> None:
    mode = folder.stat().st_mode
    # With the sticky bit, as on /tmp, others can neither rename nor remove what is ours.
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise CacheFolderError(
            f"The cache folder must lie where nobody else can replace it. Got `{folder}`, which"
            " everybody may write. Point ENZYME_SHT_CACHE elsewhere."
        )


def _check_private(folder: Path) -> None:
    info = folder.lstat()
    if stat.S_ISLNK(info.st_mode):
        problem = "is a symbolic link. Point ENZYME_SHT_CACHE at the real folder."
    elif info.st_uid != os.geteuid():
        problem = f"belongs to user {info.st_uid}. Remove it, or set ENZYME_SHT_CACHE."
    elif info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = f"may be written by others. Clear it, then `chmod 700 {folder}`."
    else:
        return
    raise CacheFolderError(
        "A folder that code is loaded from must belong to this user alone. Got"
        f" `{folder}`, which {problem}"
    )
