"""Compiled derivatives on disk: private to the user, whole or absent, verified when loaded."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._folders import CacheFolderError, cache_dir, write_atomically

_MAGIC = b"enzyme-sht object 1\n"
_DIGEST = 32


@dataclass(frozen=True)
class Entry:
    """What is kept of a compiled derivative.

    Attributes
    ----------
    facts : dict
        JSON values: what a caller must know of it.
    code : bytes
        An object file.
    """

    facts: dict[str, Any]
    code: bytes


def read(key: str) -> Entry | None:
    """The entry of a key, or None if there is none, or none that is whole."""
    try:
        data = _path(key).read_bytes()
    except (OSError, CacheFolderError):
        return None
    return _decode(data)


def write(key: str, entry: Entry) -> None:
    """Keep an entry. A cache that cannot be written costs time, not results: it warns."""
    try:
        write_atomically(_path(key), _encode(entry))
    except (OSError, CacheFolderError) as error:
        warnings.warn(
            f"A compiled gradient could not be kept for the next run: {error}. It works, and will "
            f"be compiled again. Make the cache folder writable, or point ENZYME_SHT_CACHE "
            f"elsewhere.",
            RuntimeWarning,
            stacklevel=2,
        )


def _path(key: str) -> Path:
    return cache_dir("compiled") / f"{key}.bin"


def _encode(entry: Entry) -> bytes:
    facts = json.dumps(entry.facts).encode()
    body = len(facts).to_bytes(8, "little") + facts + entry.code
    return _MAGIC + hashlib.sha256(body).digest() + body


def _decode(data: bytes) -> Entry | None:
    start = len(_MAGIC) + _DIGEST
    digest, body = data[len(_MAGIC) : start], data[start:]
    # The digest finds damage; that nobody else wrote it is what the folder's permissions are for.
    if not data.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
        return None
    length = int.from_bytes(body[:8], "little")
    try:
        facts = json.loads(body[8 : 8 + length])
    except ValueError:  # written by something else that knows our format
        return None
    return Entry(facts, body[8 + length :]) if isinstance(facts, dict) else None
