"""NumPy functions that our target compiles differently from Numba, so that they differentiate.

Each module below registers implementations with ``@overload(np.function, target=TARGET_NAME)``:
Numba prefers them to its own where it compiles for Enzyme, and nowhere else. What they compute is
what Numba computes.
"""

from __future__ import annotations

from . import (
    _substitute_linalg,
    _substitute_linalg_matrix,
    _substitute_linalg_spectra,
    _substitute_sorting,
    _substitute_special,
)

MODULES = (
    _substitute_linalg,
    _substitute_linalg_matrix,
    _substitute_linalg_spectra,
    _substitute_sorting,
    _substitute_special,
)
