"""Running other programs: always with a time limit, failures always as `ToolchainError`."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ._errors import ToolchainError, ToolTimeoutError

# What a compiler or a plugin may need to find its own libraries; nothing else is passed on.
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_NO_MEMORY = re.compile(r"out of memory|bad_alloc|cannot allocate memory|MemoryError", re.I)
_OUT_OF_MEMORY = " It ran out of the memory that it is allowed."
_STACK_FRAME = re.compile(r"\s*#\d+ 0x")


def run_tool(command: Sequence[str | Path], **options: Any) -> str:
    """As `run_and_listen`, for what the program wrote to its standard output alone."""
    return run_and_listen(command, **options)[0]


def run_and_listen(
    command: Sequence[str | Path],
    *,
    what: str,
    timeout: float,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    memory: int | None = None,
) -> tuple[str, str]:
    """Run a program to its end and return what it wrote to its standard output and error.

    Parameters
    ----------
    command : sequence of str or Path
        The program and its arguments; no shell is involved.
    what : str
        What the program is, for the error message: "the Enzyme driver".
    timeout : float
        Seconds after which it is ended.
    stdin : str
        Its standard input.
    env : mapping, optional
        Its whole environment; by default only what a compiler needs, in the C locale.
    cwd : Path, optional
        Its working folder.
    memory : int, optional
        Bytes of address space beyond which it gets no more. On Linux only.

    Raises
    ------
    ToolchainError
        If it cannot be started or fails; `stderr` holds all it said.
    ToolTimeoutError
        If it takes too long.
    """
    argv = [str(part) for part in command]
    if env is None:
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env["LC_ALL"] = "C"
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolchainError(
            f"{what} (`{argv[0]}`) could not be started. Got: {error.strerror}."
        ) from error
    if memory is not None and hasattr(resource, "prlimit"):
        with suppress(ProcessLookupError):  # it has ended already
            resource.prlimit(process.pid, resource.RLIMIT_AS, (memory, memory))
    with process:
        try:
            out, err = process.communicate(stdin.encode(), timeout=timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            stderr = _text(process.communicate()[1])
            raise ToolTimeoutError(
                f"{what} (`{argv[0]}`) must finish within {timeout:g} s. Got no end by then."
                + _excerpt(stderr),
                seconds=timeout,
                stderr=stderr,
            ) from None
        except BaseException:  # Ctrl-C goes to us alone, since the child has its own session
            _end(process)
            raise
    stderr = _text(err)
    if process.returncode != 0:
        raise ToolchainError(
            f"{what} (`{argv[0]}`) failed. Got {_status(process.returncode)}."
            + (_OUT_OF_MEMORY if _NO_MEMORY.search(stderr) else "")
            + _excerpt(stderr),
            stderr=stderr,
        )
    return _text(out), stderr


def _end(process: subprocess.Popen[bytes]) -> None:
    # The whole session: a compiler that ninja started would hold the pipes open, and us with them.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _text(data: bytes | None) -> str:
    # Enzyme prints names as raw bytes: its messages are not always valid UTF-8.
    return (data or b"").decode(errors="replace")


def _status(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"


def _excerpt(stderr: str, lines: int = 15, characters: int = 2000) -> str:
    """Return the end of the message without stack frames, which say nothing to a user."""
    kept = [line for line in stderr.splitlines() if line.strip() and not _STACK_FRAME.match(line)]
    text = "\n".join(kept[-lines:])[-characters:]
    return f"\n{text}" if text else ""
