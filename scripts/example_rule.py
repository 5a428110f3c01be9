"""How to give a C function a derivative, and how to know that it is the right one.

Enzyme differentiates what it can see: compiled Numba code. A function from a C library is a name
and an address to it, so its derivative has to be said: by a rule. Run this page; it prints what it
does.
"""

import ctypes

import numba
import numpy as np

from enzyme_rules import CustomRule, LinearRule, c_function, register
from enzyme_rules.testing import RuleError, test_rule
from llvm import NoDerivativeError, grad, value_and_grad

# 1. The C function, under a name.
#
# Any library will do: `ctypes.CDLL("libfftw3.so")`, or None for what Python itself has loaded, the
# C library among it. `c_function` takes the name by which compiled code finds the function (choose
# one that nobody else has), the function, the types of its parameters, and what it returns.

clib = ctypes.CDLL(None)
j0 = c_function("clib_j0", clib.j0, ctypes.c_double, returns=ctypes.c_double)
j1 = c_function("clib_j1", clib.j1, ctypes.c_double, returns=ctypes.c_double)

# 2. An @njit function that calls it.
#
# This is what gets the rule. It takes arrays and integers, writes its results into arrays that it
# is given, output first, and returns nothing. A rule should be wide: for a whole array rather than
# for a number, so that calling it costs nothing by comparison.


@numba.njit()
def bessel_into(y, x):
    """``y = J₀(x)``."""
    for i in range(x.size):
        y[i] = j0(x[i])


@numba.njit()
def loss(x):
    y = np.empty_like(x)
    bessel_into(y, x)
    return (y**2).sum()


x = np.linspace(0.5, 12.0, 24)

print("Without a rule, the gradient of a function that calls clib_j0 is refused:")
try:
    grad(loss)(x)
except NoDerivativeError as error:
    print(f"   {error}\n")

# 3. The rule: J₀' = −J₁.
#
# Three functions, which take the arguments with shadows: each array is followed by its shadow,
# where its derivative is. Reverse mode gets dL/dy in dy and adds to dL/dx in dx. Mind three things:
#
# - Add to dx, for x may be used elsewhere; then clear dy, for what y held before has no influence.
# - The shadow of an array that does not vary is that array: ask `dx is not x`.
# - When `reverse` runs, x may have been overwritten. What it needs, `augmented_primal` returns.


@numba.njit()
def bessel_augmented(y, dy, x, dx):
    """The function itself, and what to keep for later: an array of its own."""
    bessel_into(y, x)
    return x.copy()


@numba.njit()
def bessel_reverse(y, dy, x, dx, kept):
    if dy is y:
        return
    if dx is not x:
        for i in range(x.size):
            dx[i] -= j1(kept[i]) * dy[i]
    dy[:] = 0


@numba.njit()
def bessel_forward(y, dy, x, dx):
    """The function itself, and the tangent of y from that of x."""
    bessel_into(y, x)
    if dy is y:
        return
    for i in range(x.size):
        dy[i] = -j1(x[i]) * dx[i] if dx is not x else 0.0


def bessel_rule(reverse):
    return CustomRule(
        bessel_into, augmented_primal=bessel_augmented, reverse=reverse, forward=bessel_forward
    )


register(bessel_rule(bessel_reverse))

# 4. Is it right? One call checks everything that is easy to get wrong.

test_rule(bessel_into, np.zeros(24), x)
print("With its rule it passes test_rule: values, both modes, shadows, activities, a loop.\n")


# It would have said so if not. Here is the same rule with a factor forgotten.


@numba.njit()
def bessel_wrong(y, dy, x, dx, kept):
    if dy is y:
        return
    if dx is not x:
        for i in range(x.size):
            dx[i] -= 0.5 * j1(kept[i]) * dy[i]
    dy[:] = 0


register(bessel_rule(bessel_wrong))
try:
    test_rule(bessel_into, np.zeros(24), x)
except RuleError as error:
    print(f"With a factor forgotten it does not:\n   {error}\n")
else:
    raise SystemExit("test_rule has missed a wrong factor")

register(bessel_rule(bessel_reverse))  # replaces the wrong one

# 5. Use it. The gradient of anything that calls bessel_into goes through the rule.


@numba.njit()
def misfit(x, data):
    y = np.empty_like(x)
    bessel_into(y, x)
    return 0.5 * ((y - data) ** 2).sum()


data = np.cos(x)
value, gradient = value_and_grad(misfit)(x, data)
clib.j0.restype = clib.j1.restype = ctypes.c_double
J0, J1 = (np.array([f(ctypes.c_double(v)) for v in x]) for f in (clib.j0, clib.j1))
exact = -J1 * (J0 - data)
error = np.abs(gradient - exact).max() / np.abs(exact).max()
print(f"The gradient of a misfit of {value:.6f} differs from the exact one by {error:.1e}.")
assert error < 1e-14

# 6. A linear map needs less: its adjoint. The rest (keeping nothing, clearing, forward mode, arrays
# that do not vary) follows. Here: C's memmove, which delays a signal by one sample.

move = c_function("clib_memmove", clib.memmove, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


@numba.njit()
def delay_into(y, x):
    y[0] = 0
    move(y[1:], x, (x.size - 1) * x.itemsize)


@numba.njit()
def delay_adjoint(dy, dx):
    """Adds Aᵀ dy to dx."""
    for i in range(dx.size - 1):
        dx[i] += dy[i + 1]


register(LinearRule(delay_into, adjoint=delay_adjoint))
test_rule(delay_into, np.zeros(24), x)


@numba.njit()
def roughness(x):
    y = np.empty_like(x)
    delay_into(y, x)
    return 0.5 * ((x - y) ** 2).sum()


difference = np.diff(x, prepend=0.0)
exact = difference - np.append(difference[1:], 0.0)
error = np.abs(grad(roughness)(x) - exact).max()
print(f"That of a roughness through memmove differs by {error:.1e}.")
assert error < 1e-14
