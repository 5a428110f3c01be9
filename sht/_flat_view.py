"""Contiguous arrays of any rank as flat ones, in ``@njit`` code."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array


def _flat_view(typing_context: Any, array: Any) -> Any:
    """``array.ravel()`` of a C-contiguous array, which never copies and never raises.

    NumPy's own asks a function about strides, by which the compiler loses sight of the memory: it
    would take an array that is only read for one that may be written, and copy it.
    """
    flat = array.copy(ndim=1)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = make_array(array)(context, builder, arguments[0])
        made = make_array(flat)(context, builder)
        size = context.get_abi_sizeof(context.get_data_type(array.dtype))
        itemsize = context.get_constant(types.intp, size)
        populate_array(
            made,
            data=given.data,
            shape=[given.nitems],
            strides=[itemsize],
            itemsize=itemsize,
            meminfo=given.meminfo,
            parent=given.parent,
        )
        return impl_ret_borrowed(context, builder, flat, made._getvalue())

    return flat(array), codegen


flat_view: Any = intrinsic(_flat_view)
