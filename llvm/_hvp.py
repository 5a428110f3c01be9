"""Products with second derivatives, by forward mode over reverse mode: `hvp`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._arguments import name_of
from ._call import call
from ._kernel_gradient import launch_hvp
from ._launch import Launch
from ._products import with_tangents
from ._program import program_for
from ._request import Mode
from ._shadows import in_form_of, shadows_like, with_copies


def hvp(function: Any, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Gradient, and the product of the Hessian with a vector: the gradient's tangent.

    It costs a small multiple of the gradient, whatever the number of unknowns; the Hessian itself
    is never made.

    Parameters
    ----------
    function : njit function, or kernel(f)[n]
        Of numbers, arrays and tuples of these; returns a real number. Of a launch, what its threads
        return is summed.
    primals : sequence
        All arguments of the function; of a kernel, all but the index.
    tangents : sequence
        The vector, one part for each argument: like the argument, or None for an argument that does
        not vary. The derivatives are by the arguments that vary. Zeros for one of them give the
        rows of the Hessian that belong to it, without its columns.

    Returns
    -------
    gradient, product
        Each as what `grad` returns: of the form of the argument, or a tuple for several that vary.
        By a complex number z, both are ∂/∂Re z + i ∂/∂Im z: of L, and of L's derivative along the
        vector. The Hessian is symmetric for the real inner product Re Σ conj(u) v.

    Raises
    ------
    TypeError
        Not an @njit function; one that returns nothing; no argument varies, or one that cannot.
    ValueError
        As many tangents as primals are needed, each of the form of its argument.
    NoDerivativeError
        The function, or a rule on its way, calls something without a derivative.

    Notes
    -----
    Rules are passed as follows. A `LinearRule` is its own second derivative: the function is run on
    values and tangents, the adjoint on cotangents and their tangents. The `augmented_primal` and
    `reverse` of a `CustomRule` are differentiated by Enzyme, forwards. A `RecomputedRule` is left
    aside: Enzyme looks into its function, and keeps what it needs.

    Arrays that the function writes are copied first, as for `grad`, if they vary.

    Examples
    --------
    >>> import numba, numpy as np
    >>> from llvm import hvp
    >>> @numba.njit
    ... def f(x, scale):
    ...     return scale * (x**3).sum()
    >>> x, v = np.array([1.0, 2.0]), np.array([1.0, 10.0])
    >>> gradient, product = hvp(f, (x, 2.0), (v, None))
    >>> gradient, product
    (array([ 6., 24.]), array([ 12., 240.]))
    """
    if isinstance(function, Launch):
        return launch_hvp(function, primals, tangents)
    name = "hvp(f, primals, tangents)"
    function, arguments, tangents = with_tangents(name, function, primals, tangents)
    varying = tuple(t is not None for t in tangents)
    if not any(varying):
        raise TypeError(
            f"`{name}` differentiates by the arguments that have a tangent. Got None for each. "
            f"Pass a vector for one of them."
        )
    second = SecondDerivative(name, function, arguments, varying)
    program = second.program
    flat: list[Any] = []
    for i, (argument, tangent) in enumerate(zip(arguments, tangents, strict=True)):
        what = f"the tangent of `{name_of(function, i)}`"
        flat += shadows_like(what, program.frame.items[len(flat) :], argument, tangent)
    chosen = [i for i, varies in enumerate(varying) if varies]
    first, tangent = second(flat)
    gradient = in_form_of(program, arguments, first, chosen)
    product = in_form_of(program, arguments, tangent, chosen)
    return (gradient[0], product[0]) if len(chosen) == 1 else (gradient, product)


class SecondDerivative:
    """The gradient at a point and its tangents, compiled.

    Parameters
    ----------
    name, function, arguments, varying
        As for `program_for`.
    """

    def __init__(
        self, name: str, function: Any, arguments: tuple[Any, ...], varying: tuple[bool, ...]
    ) -> None:
        self.program = program_for(name, function, Mode.FORWARD_OVER_REVERSE, arguments, varying)
        self._function, self._arguments, self._varying = function, arguments, varying
        if not self.program.returns_value:
            raise TypeError(
                f"`{name}` needs a function that returns a real number. Got "
                f"`{function.py_func.__qualname__}`, which returns nothing."
            )

    def __call__(self, tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The gradient and its tangent, for each item, along a tangent of each item."""
        shadows: list[Any] = []
        for tangent in tangents:
            shadows += tangent, None, None
        arguments = self._arguments
        if self.program.writes_varying:
            arguments = with_copies(self.program, self._function, arguments, self._varying)
        call(self.program, self._function, arguments, shadows)
        return shadows[1::3], shadows[2::3]
