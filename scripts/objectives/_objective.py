"""What an objective consists of: the same function three times, data, and two sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A function of several arrays to a number, to be differentiated by some of them.

    Attributes
    ----------
    name : str
    function : njit function
    argnums : tuple of int
        Positions of the arguments to differentiate by.
    make : callable
        From the keywords of one of `sizes` to the arguments; the same ones each time.
    sizes : dict
        Of ``"small"`` and ``"large"``.
    in_jax, in_torch : callable
        From the imported module to the function as a user of that library writes it.
    unrolled : bool
        Whether the one in PyTorch is a long loop in Python, which `torch.compile` would unroll.
    """

    name: str
    function: Any
    argnums: tuple[int, ...]
    make: Callable[..., tuple[Any, ...]]
    sizes: dict[str, dict[str, int]]
    in_jax: Callable[[Any], Callable[..., Any]]
    in_torch: Callable[[Any], Callable[..., Any]]
    unrolled: bool = False
