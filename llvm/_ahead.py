"""Kernels compiled ahead, where there is no GPU: for the cache, and for a look at them."""

from __future__ import annotations

from typing import Any

from ._arguments import bind
from ._autodiff import Active, Const, Duplicated
from ._launch import Launch
from ._program import program_for
from ._request import Mode


def ptx(
    launch: Launch,
    *arguments: Any,
    mode: Mode | None = None,
    linear: bool = False,
    architecture: str = "sm_80",
) -> str:
    """PTX of a kernel, or of its derivative, for arguments of some types.

    Parameters
    ----------
    launch : kernel(f)[n]
    *arguments : any
        As the kernel takes them, NumPy arrays in place of arrays on a device. With a mode, each of
        them wrapped as for `autodiff`; shadows may be left out, as None.
    mode : Forward or Reverse, optional
        Which derivative; without it, the kernel itself.
    linear : bool
        Whether it is for `linear_transpose`.
    architecture : str
        ``"sm_70"`` or later. A newer device runs it too.

    Returns
    -------
    str
        What a launch on a device of this architecture finds in the cache, which can be carried: to
        a machine with a GPU and without Enzyme.

    Raises
    ------
    ToolchainError
        There is no libdevice.

    Examples
    --------
    >>> import numba, numpy as np
    >>> from llvm import Duplicated, Reverse, kernel
    >>> @kernel
    ... @numba.njit
    ... def square(i, y, x):
    ...     y[i] = x[i] ** 2
    >>> x = np.zeros(2)
    >>> ".target sm_90" in ptx(square[2], x, x, architecture="sm_90")
    True
    >>> "atom" in ptx(square[2], Duplicated(x, None), Duplicated(x, None), mode=Reverse)
    True
    """
    name = "ptx(kernel(f)[n], *arguments)"
    if not isinstance(launch, Launch):
        raise TypeError(f"`{name}` needs a launch, `kernel(f)[n]`. Got {launch!r}.")
    if mode is None:
        values, varying = arguments, (False,) * len(arguments)
    else:
        for argument in arguments:
            if not isinstance(argument, (Active, Const, Duplicated)):
                raise TypeError(
                    f"`{name}` with a mode needs each argument wrapped, as `autodiff` does. Got a "
                    f"bare {type(argument).__name__}."
                )
        values = tuple(argument.value for argument in arguments)
        varying = tuple(not isinstance(argument, Const) for argument in arguments)
    bound = bind(name, launch.body, (launch.n, *values))
    varying = (False, *varying, *(False,) * (len(bound) - 1 - len(varying)))
    program = program_for(
        name,
        launch.body,
        mode or Mode.PRIMAL,
        bound,
        varying,
        skip_primal=linear,
        threads=launch.threads,
        architecture=architecture,
    )
    return program.loaded.ptx
