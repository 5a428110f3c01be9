"""Functions of `@vectorize`, `@guvectorize` and `@stencil`, as our target compiles them.

Numba keeps for each of them what it has compiled, and where to compile it: for the CPU. Ours have
the same signatures and casts, and their bodies are compiled for our target when they are called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from numba.np.ufunc import dufunc, gufunc
from numba.np.ufunc.gufunc import GUFuncLowerer
from numba.stencils.stencil import StencilFunc

from enzyme_rules import generation

# Any, because pyright finds no attributes in the classes of Numba.
DUFunc: Any = dufunc.DUFunc
GUFunc: Any = gufunc.GUFunc
KINDS: Any = (DUFunc, GUFunc, StencilFunc)


class _Vectorized(DUFunc):
    def __new__(cls, original: Any, dispatcher: Any) -> Any:
        return dufunc._internal._DUFunc.__new__(cls)  # pyright: ignore

    def __init__(self, original: Any, dispatcher: Any) -> None:
        self._original = original
        self._initialize(dispatcher, original.identity)

    def find_ewise_function(self, ewise_types: Any) -> Any:
        found, _ = self._original.find_ewise_function(ewise_types)
        if found is None and self._original._frozen:
            return None, None
        return _compiled(self, ewise_types if found is None else found.args)


class _Generalized(GUFunc):
    def __init__(self, original: Any, dispatcher: Any) -> None:
        self._original = original
        self._dispatcher = dispatcher
        self.ufunc, self.gufunc_builder = original.ufunc, original.gufunc_builder
        self._frozen, self._is_dynamic = original._frozen, original._is_dynamic
        self.__name__ = original.__name__
        self._install_type()
        self._lower_me = GUFuncLowerer(self)
        self._install_cg()

    def find_ewise_function(self, ewise_types: Any) -> Any:
        found, _ = self._original.find_ewise_function(ewise_types)
        if found is None and (self._frozen or not self._is_dynamic):
            return None, None
        return _compiled(self, (found or self._get_function_type(*ewise_types)).args)


def _compiled(function: Any, argument_types: Any) -> Any:
    """Signature and Numba's result of compiling the body for some types."""
    dispatcher = function._dispatcher
    dispatcher.compile(tuple(argument_types))
    result = dispatcher.overloads[tuple(argument_types)]
    if result.library not in function._lower_me.libs:
        function._lower_me.libs.append(result.library)
    return result.signature, result


_made: dict[Any, Any] = {}
_lock = threading.RLock()


def counterpart(original: Any, make: Callable[[Any, dict[str, Any]], Any], target: Any) -> Any:
    """What stands for a function of one of `KINDS` in our target.

    Parameters
    ----------
    original : DUFunc, GUFunc or StencilFunc
    make : callable
        Makes a dispatcher of our target, of a Python function and options.
    target : numba target descriptor
    """
    with _lock:
        key = generation(), original
        if key not in _made:
            _made[key] = _make(original, make, target)
        return _made[key]


def _make(original: Any, make: Callable[[Any, dict[str, Any]], Any], target: Any) -> Any:
    if isinstance(original, StencilFunc):
        ours = StencilFunc(original.kernel_ir.copy(), original.mode, original.options)
        ours._typingctx, ours._targetctx = target.typing_context, target.target_context
        ours._install_type(ours._typingctx)
        return ours
    kept = ("fastmath", "boundscheck")
    options = {k: v for k, v in original._dispatcher.targetoptions.items() if k in kept}
    dispatcher = make(original._dispatcher.py_func, {"error_model": "numpy", **options})
    return (_Generalized if isinstance(original, GUFunc) else _Vectorized)(original, dispatcher)
