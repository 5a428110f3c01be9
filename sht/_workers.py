"""What one thread needs to run the maps of a transform: the kernels, bound to its work space.

Compiling is left to `llvm`, imported only when it is needed, so that `import sht` stays light.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from ._apply import placeholder
from ._kernels import coefficients_of_points_into, points_of_coefficients_into


class LinearMap:
    """A kernel ``kernel(output, input, *fixed)`` and its transpose, for calls that cost little.

    One thread at a time.
    """

    def __init__(self, kernel: Any, *fixed: Any) -> None:
        self._kernel, self._fixed = kernel, fixed
        self._bound: dict[bool, Any] = {}

    def forwards(self, output: NDArray, given: NDArray) -> None:
        """``output = K(given)``; added where the kernel accumulates."""
        self._bind(transposed=False)(output, given)

    def like(
        self, output: NDArray, given: NDArray, *, transposed: bool = False
    ) -> Callable[..., None]:
        """`forwards`, or `backwards`, for arrays of the same kind, in less time."""
        bound = self._bind(transposed=transposed)
        if not transposed:
            return bound.like(output, given)
        return bound.like(*_placeholders(output, given), shadows=(output, given))

    def backwards(self, output: NDArray, given: NDArray) -> None:
        """``given += Kᵀ(output)``; clears `output` where the kernel overwrites it."""
        self._bind(transposed=True)(*_placeholders(output, given), shadows=(output, given))

    def _bind(self, *, transposed: bool) -> Any:
        # What is bound takes as long to make as a small transform: the arrays of a plan are many.
        if transposed not in self._bound:
            from llvm import Bound

            self._bound[transposed] = Bound(self._kernel, self._fixed, transposed=transposed)
        return self._bound[transposed]


def _placeholders(output: NDArray, given: NDArray) -> tuple[NDArray, NDArray]:
    return (
        placeholder("output", output.shape, output.dtype),
        placeholder("given", given.shape, given.dtype),
    )


class Worker:
    """What one thread needs for the maps of one Transform; `fields` are transformed at once.

    Nothing else has a share in what an adjoint writes: it overwrites that, instead of adding to it,
    and leaves alone what it is given.
    """

    def __init__(self, t: Any, fields: int) -> None:
        self.fields = fields
        scratch = t.scratch(fields)._replace(ring=t.ring_scratch(alone=True))
        self.synthesis = LinearMap(points_of_coefficients_into, t, scratch)
        self.analysis = LinearMap(coefficients_of_points_into, t, scratch)
        self._short: dict[str, Callable[[NDArray, NDArray], None]] = {}

    def run(self, name: str, results: NDArray, given: NDArray) -> None:
        """A map of flat fields."""
        of, transposed = self._kernel(name)
        if transposed:
            of.backwards(given, results)
        else:
            of.forwards(results, given)

    def short(self, name: str, result: NDArray, given: NDArray) -> None:
        """A map of one field, in the shapes and dtypes of the transform, as `flags.carray` says."""
        run = self._short.get(name)
        if run is None:
            run = self._short[name] = self._find_short(name, result.reshape(-1), given)
        run(result, given)

    def _find_short(self, name: str, result: NDArray, given: NDArray) -> Callable[..., None]:
        of, transposed = self._kernel(name)
        given = given.reshape(-1)
        if transposed:
            run = of.like(given, result, transposed=True)
            return lambda result, given: run(given, result)
        return of.like(result, given)

    def _kernel(self, name: str) -> tuple[LinearMap, bool]:
        """Which kernel a map is, and whether it is the transpose."""
        of = self.synthesis if name.endswith("synthesis") else self.analysis
        return of, name.startswith("adjoint_")
