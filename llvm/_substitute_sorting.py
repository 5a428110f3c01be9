"""Sorting and selecting: where items go is found without a derivative, then they are moved."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.core import cgutils, types
from numba.cpython import listobj
from numba.extending import overload, overload_method
from numba.np import arraymath

from ._inactive import inactive
from ._target import TARGET_NAME

# All of them put what Numba would: they run its own code, to the choice between equal items.


@numba.njit()
def _order(order: Any, items: Any) -> None:
    order[:] = np.argsort(items)


@numba.njit()
def _stable_order(order: Any, items: Any) -> None:
    order[:] = np.argsort(items, kind="mergesort")


@numba.njit()
def _list_order(order: Any, items: Any, backwards: Any) -> None:
    copied = [item for item in items]  # noqa: C416
    found = listobj.arg_sort_backwards(copied) if backwards else listobj.arg_sort_forwards(copied)
    for i in range(len(found)):
        order[i] = found[i]


_quick = inactive(_order, writes=(0,))
_stable = inactive(_stable_order, writes=(0,))
_of_list = inactive(_list_order, writes=(0,))
_NUMBERS = (types.Float, types.Complex, types.Integer, types.Boolean)


def _kind(kind: Any) -> str:
    return getattr(kind, "literal_value", getattr(kind, "value", kind))


def _orders(a: Any, kind: Any) -> Any:
    """The function that orders arrays like `a` as Numba does, or None where it has to do it."""
    if not (isinstance(a, types.Array) and isinstance(a.dtype, _NUMBERS)):
        return None
    return {"quicksort": _quick, "mergesort": _stable, "stable": _stable}.get(_kind(kind))


@overload_method(types.Array, "sort", target=TARGET_NAME)
def _sort(a: Any, kind: Any = "quicksort") -> Any:
    orders = _orders(a, kind)
    if orders is None:
        return None
    if a.ndim == 1:

        def sort_line(a: Any, kind: Any = "quicksort") -> None:
            order = np.empty(a.size, np.intp)
            orders((order, a))
            a[:] = a[order]

        return sort_line

    def sort(a: Any, kind: Any = "quicksort") -> None:
        order = np.empty(a.shape[-1], np.intp)
        for index in np.ndindex(a.shape[:-1]):
            line = a[index]
            orders((order, line))
            line[:] = line[order]

    return sort


@overload(np.argsort, target=TARGET_NAME)
@overload_method(types.Array, "argsort", target=TARGET_NAME)
def _argsort(a: Any, kind: Any = "quicksort") -> Any:
    orders = _orders(a, kind)
    if orders is None or a.ndim != 1:
        return None

    def argsort(a: Any, kind: Any = "quicksort") -> Any:
        order = np.empty(a.size, np.intp)
        orders((order, a))
        return order

    return argsort


def _for_lists(backwards: bool) -> tuple[Any, Any]:
    """What takes the place of Numba's sorting of a list, and of its keys."""

    def implement_sort(items: Any) -> Any:
        if not isinstance(items.dtype, _NUMBERS):
            return None

        def sort(items: Any) -> None:
            if len(items) > 0:
                order = np.empty(len(items), np.intp)
                _of_list((order, np.array(items), backwards))
                items[:] = [items[i] for i in order]

        return sort

    def implement_argsort(items: Any) -> Any:
        if not isinstance(items.dtype, _NUMBERS):
            return None

        def argsort(items: Any) -> Any:
            order = np.empty(len(items), np.intp)
            if len(items) > 0:
                _of_list((order, np.array(items), backwards))
            return [i for i in order]  # noqa: C416

        return argsort

    return implement_sort, implement_argsort


for _backwards, _names in ((False, "forwards"), (True, "backwards")):
    _sort_items, _argsort_items = _for_lists(_backwards)
    overload(getattr(listobj, f"sort_{_names}"), target=TARGET_NAME)(_sort_items)
    overload(getattr(listobj, f"arg_sort_{_names}"), target=TARGET_NAME)(_argsort_items)


@numba.njit()
def _select_order(order: Any, items: Any, k: Any, low: Any, high: Any, careful: Any) -> None:
    moved = items.copy()
    if careful:
        arraymath._select_w_nan(moved, k, low, high)
    else:
        arraymath._select(moved, k, low, high)
    # Where each item has come from: both arrays hold the same ones.
    order[np.argsort(moved, kind="mergesort")] = np.argsort(items, kind="mergesort")


_selecting = inactive(_select_order, writes=(0,))


def _for_selecting(careful: bool) -> Any:
    """What takes the place of Numba's selection of the k-th smallest, which moves the rest."""

    def implement(arry: Any, k: Any, low: Any, high: Any, idx: Any = None) -> Any:
        if not isinstance(arry.dtype, _NUMBERS) or not cgutils.is_nonelike(idx):
            return None

        def select(arry: Any, k: Any, low: Any, high: Any, idx: Any = None) -> Any:
            order = np.empty(arry.size, np.intp)
            _selecting((order, arry, k, low, high, careful))
            arry[:] = arry[order]
            return arry[k]

        return select

    return implement


overload(arraymath._select, target=TARGET_NAME)(_for_selecting(False))
overload(arraymath._select_w_nan, target=TARGET_NAME)(_for_selecting(True))


@overload(arraymath._select_two, target=TARGET_NAME)
def _select_two(arry: Any, k: Any, low: Any, high: Any) -> Any:
    if not isinstance(arry.dtype, _NUMBERS):
        return None

    def select_two(arry: Any, k: Any, low: Any, high: Any) -> Any:
        order = np.empty(arry.size, np.intp)
        _quick((order, arry))
        return arry[order[k]], arry[order[k + 1]]

    return select_two
