"""Losses of fields, differentiated by the coefficients, wherever these are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def value_and_grad_through(t: Any, loss: Any) -> Callable[..., tuple[float, Any]]:
    """Value and gradient, by coefficients, of a loss of the field that they make.

    Parameters
    ----------
    t : Transform, SpinTransform
    loss : kernel(body)[n]
        Of threads ``body(i, field, *rest)`` that return numbers, which are summed. `field` is flat:
        all points of all fields one after the other.

    Returns
    -------
    callable
        ``(a, *rest) -> (value, gradient)``, `a` as for ``t.synthesis`` and the gradient like it:
        ∂L/∂Re a + i ∂L/∂Im a. NumPy arrays are worked on by the CPU, CuPy arrays on their device,
        with no copy to the host but that of the value.

    Notes
    -----
    The gradient is ``t.adjoint_synthesis`` of that by the field; nothing is kept of the transform.
    On the CPU an ``@njit`` loss with `synthesis_into` in it does the same for `value_and_grad`,
    and may do more with the field.

    Examples
    --------
    >>> import numba, numpy as np
    >>> import sht
    >>> from llvm import kernel
    >>> @kernel
    ... @numba.njit
    ... def misfit(i, field, data):
    ...     return 0.5 * (field[i] - data[i]) ** 2
    >>> t = sht.Transform(7, sht.grids.named("F4"))
    >>> data = np.ones(t.grid.npoints)
    >>> run = sht.value_and_grad_through(t, misfit[data.size])
    >>> value, gradient = run(np.zeros(t.ncoef, complex), data)
    >>> value
    64.0
    """
    from llvm import value_and_grad  # imported here, so that `import sht` stays light

    gradient = value_and_grad(loss)

    def run(a: Any, *rest: Any) -> tuple[float, Any]:
        field = t.synthesis(a)
        value, by_field = gradient(field.reshape(-1), *rest)
        return value, t.adjoint_synthesis(by_field.reshape(field.shape))

    return run
