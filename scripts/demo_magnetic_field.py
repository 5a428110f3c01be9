r"""Fit a model of the Earth's magnetic field to two days of noisy satellite tracks.

The truth is the International Geomagnetic Reference Field of 2025. A satellite sees its radial
component where its tracks pass, with noise, and not at all where its instrument fails. We look for
spherical harmonic coefficients that explain what it saw. The misfit is an ordinary Numba function
that calls the transform. Enzyme makes its gradient, FFTs included, and SciPy's L-BFGS does the
rest.

Run it with ``make demo``. It prints its checks and writes ``demo_magnetic_field.png``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numba import njit
from scipy.optimize import minimize
from tqdm import tqdm

import sht
from llvm import value_and_grad
from sht import synthesis_into
from sht.filters import filter_degrees
from sht.layouts import pyshtools

IGRF = Path(__file__).parent / "data" / "igrf14_2025.txt"
EARTH_RADIUS = 6371.2  # km, to which the IGRF refers
CORE_RADIUS = 3485.0  # km
ORBIT_RADIUS = EARTH_RADIUS + 450.0  # km, that of Swarm A and C

LMAX = 20  # of the fit; the truth ends at 13
NOISE = 0.05  # microtesla
# Radial field at the core's surface, as standard deviation of one coefficient in microtesla: a
# root mean square of 300 microtesla, spread evenly over the 195 coefficients up to degree 13.
PRIOR = 300.0 * np.sqrt(4 * np.pi / 195)


# Gauss coefficients and ours


def read_igrf(path=IGRF):
    """Degrees, orders, and Schmidt quasi-normalised Gauss coefficients g and h in nanotesla."""
    n, m, g, h = np.loadtxt(path, unpack=True)
    return n.astype(int), m.astype(int), g, h


def radial_response(lmax, radius):
    r"""Return the number by which degree n of the potential becomes that of the radial field.

    The radial field at radius r is

    .. math:: B_r = \sum_{n,m} (n+1) (R/r)^{n+2} (g_n^m \cos m\varphi + h_n^m \sin m\varphi) S_n^m

    with Schmidt's functions without Condon-Shortley phase.

    Source: R. A. Langel, "The main field", in J. A. Jacobs (ed.), Geomagnetism 1, 1987, ch. 4.
    """
    n = np.arange(lmax + 1)
    return (n + 1) * (EARTH_RADIUS / radius) ** (n + 2)


def from_gauss(n, m, g, h, lmax, radius):
    """Packed coefficients of the radial field at a radius in km, in the unit of g and h."""
    gh = np.zeros((2, lmax + 1, lmax + 1))
    gh[:, n, m] = g, h
    a = pyshtools(lmax, normalization="schmidt").pack(gh)
    return filter_degrees(a, radial_response(lmax, radius), lmax)


def to_gauss(a, n, m, lmax, radius):
    """Gauss coefficients g and h of the given degrees and orders; undoes `from_gauss`."""
    a = filter_degrees(a, 1 / radial_response(lmax, radius), lmax)
    return pyshtools(lmax, normalization="schmidt").unpack(a)[:, n, m]


# What the satellite saw


def ground_track(days=2.0, inclination=87.4, period=93.8):
    """Latitudes and longitudes in degrees below a circular orbit, each ten seconds."""
    minutes = np.arange(0.0, days * 1440, 1 / 6)
    u = 2 * np.pi * minutes / period
    i = np.deg2rad(inclination)
    latitude = np.rad2deg(np.arcsin(np.sin(i) * np.sin(u)))
    sidereal_day = 1436.07
    longitude = np.rad2deg(np.arctan2(np.cos(i) * np.sin(u), np.cos(u)))
    return latitude, np.mod(longitude - 360.0 * minutes / sidereal_day, 360.0)


def cells_seen(grid):
    """Tell which points of a full grid lie next to a track, outside the South Atlantic Anomaly."""
    latitude, longitude = ground_track()
    nlat, nlon = grid.shape
    edges = np.concatenate([[90.0], (grid.latitudes[1:, 0] + grid.latitudes[:-1, 0]) / 2, [-90.0]])
    ring = np.clip(np.searchsorted(-edges, -latitude) - 1, 0, nlat - 1)
    seen = np.zeros(grid.shape, bool)
    seen[ring, np.rint(longitude * nlon / 360.0).astype(int) % nlon] = True
    # Radiation blinds instruments there; a circle of 25 degrees around 25 S, 50 W.
    north, east = np.deg2rad(grid.latitudes), np.deg2rad(grid.longitudes)
    distance = np.sin(north) * np.sin(np.deg2rad(-25.0))
    distance += np.cos(north) * np.cos(np.deg2rad(-25.0)) * np.cos(east - np.deg2rad(-50.0))
    return seen & (distance < np.cos(np.deg2rad(25.0)))


# The misfit


@njit()
def misfit(x, scale, penalty, data, weight, t, a, field, scratch):
    """Half the squared, weighted distance to the data, plus the prior."""
    for k in range(x.size):
        a[k] = scale[k] * x[k]
    synthesis_into(field, a, t, scratch)
    total = 0.0
    for j in range(field.shape[0]):
        for i in range(field.shape[1]):
            total += weight[j, i] * (field[j, i] - data[j, i]) ** 2
    for k in range(x.size):
        total += penalty[k] * (x[k].real ** 2 + x[k].imag ** 2)
    return 0.5 * total


def scale_and_penalty(lmax, seen):
    """Scale of the unknowns, so that all matter alike, and the weight of the prior on them.

    The prior wants the radial field at the core's surface small, which is the usual way to keep
    the short waves out that tracks cannot see: D. Gubbins and J. Bloxham, "Geomagnetic field
    analysis - III", Geophys. J. R. Astr. Soc. 80 (1985) 695.
    """
    degrees, orders = sht.degrees_orders(lmax)
    prior = (ORBIT_RADIUS / CORE_RADIUS) ** (2 * degrees + 4) / PRIOR**2
    data = np.count_nonzero(seen) / (4 * np.pi) / NOISE**2
    scale = 1.0 / np.sqrt(data + prior)
    return scale, np.where(orders > 0, 2.0, 1.0) * prior * scale**2


# Checks, fit, report


def check_transform(t, rng):
    """Print the dot test of synthesis and the adjoint that Enzyme made of it."""
    a = rng.standard_normal(sht.ncoef(t.lmax)) + 1j * rng.standard_normal(sht.ncoef(t.lmax))
    f = rng.standard_normal(t.grid.shape)
    left, right = np.vdot(t.synthesis(a), f), np.vdot(a, t.adjoint_synthesis(f)).real
    error = abs(left - right) / (np.linalg.norm(t.synthesis(a)) * np.linalg.norm(f))
    print(f"dot test             <S a, f> = {left:+.12f}, <a, S^T f> = {right:+.12f}")
    print(f"                     difference {error:.1e} of the norms")


def check_gradient(x, gradient, constants, rng):
    """Print the gradient's slope beside central differences, in one random direction."""
    direction = rng.standard_normal(x.shape) + 1j * rng.standard_normal(x.shape)
    slope = np.vdot(gradient(x, *constants)[1], direction).real
    step = 1.0  # a quadratic misfit has no error of truncation: a long step rounds least
    ahead, behind = (misfit(x + s * direction, *constants) for s in (step, -step))
    difference = (ahead - behind) / (2 * step)
    print(f"finite differences   gradient {slope:+.9e}, differences {difference:+.9e}")
    print(f"                     relative difference {abs(slope / difference - 1):.1e}")


def best_time(call, repeats=200):
    """Shortest of many times, in microseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times)


def fit(x, gradient, constants, most=200):
    """Minimise the misfit by L-BFGS, with a progress bar."""

    def real_misfit(real):
        value, slope = gradient(real.view(np.complex128), *constants)
        # The gradient is dL/dRe + i dL/dIm, hence its parts are those of the real problem.
        return value, np.ascontiguousarray(slope).view(np.float64)

    with tqdm(total=most, unit="iteration", desc="L-BFGS") as bar:

        def show(intermediate_result):
            bar.update()
            bar.set_postfix(misfit=f"{intermediate_result.fun:.6g}")

        options = {"maxiter": most, "ftol": 1e-12, "gtol": 1e-6, "maxcor": 20}
        result = minimize(
            real_misfit,
            x.view(np.float64),
            jac=True,
            method="L-BFGS-B",
            callback=show,
            options=options,
        )
        bar.total = bar.n
        bar.refresh()
    if not result.success:
        raise SystemExit(f"L-BFGS stopped without convergence: {result.message}")
    return result.x.view(np.complex128)


def report(n, m, truth, recovered, highest=3):
    """Print recovered Gauss coefficients of low degree beside the true ones."""
    print("\n n  m            true       recovered    error   (nT)")
    for k in np.flatnonzero(n <= highest):
        for name, true, found in zip("gh", truth, recovered, strict=True):
            if name == "g" or m[k] > 0:
                error = found[k] - true[k]
                print(f"{n[k]:2d} {m[k]:2d}  {name} {true[k]:13.1f} {found[k]:15.1f} {error:8.1f}")
    errors = np.concatenate([found - true for found, true in zip(recovered, truth, strict=True)])
    print(
        f"root mean square error of all to degree {n.max()}: {np.sqrt(np.mean(errors**2)):.2f} nT"
    )


def draw(path, grid, truth, data, seen, recovered):
    """Save four maps: truth, data, what was recovered, and its error."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    error = 1e3 * (recovered - truth)
    rms = np.sqrt(np.sum(grid.areas[:, None] * error**2) / (4 * np.pi))
    largest = np.max(np.abs(truth))
    height = f"{ORBIT_RADIUS - EARTH_RADIUS:.0f} km"
    panels = [
        (f"Truth: IGRF-14, 2025.0, at {height}", truth, largest, "µT"),
        (f"Data: {np.count_nonzero(seen)} cells seen", np.where(seen, data, np.nan), largest, "µT"),
        (f"Recovered to degree {LMAX}", recovered, largest, "µT"),
        (f"Error: recovered - truth, rms {rms:.1f} nT", error, np.max(np.abs(error)), "nT"),
    ]
    # Cells around the points, with longitudes from -180 to 180 as the projection wants them.
    nlon = grid.shape[1]
    half = nlon // 2
    east = (np.arange(nlon + 1) - half - 0.5) * 2 * np.pi / nlon
    middle = np.deg2rad(grid.latitudes[1:, 0] + grid.latitudes[:-1, 0]) / 2
    north = np.concatenate([[np.pi / 2], middle, [-np.pi / 2]])
    figure, axes = plt.subplots(2, 2, figsize=(11.5, 8.6), subplot_kw={"projection": "mollweide"})
    figure.set_layout_engine("constrained", h_pad=0.15)
    for axis, (title, values, limit, unit) in zip(axes.flat, panels, strict=True):
        values = np.roll(values, half, axis=1)
        axis.set_facecolor("0.85")
        mesh = axis.pcolormesh(east, north, values, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.set_title(title, pad=14)
        axis.set_xticks(np.deg2rad(np.arange(-120, 121, 60)))
        axis.set_yticks(np.deg2rad(np.arange(-60, 61, 30)))
        axis.tick_params(labelsize=7, colors="0.3")
        axis.grid(color="0.4", linewidth=0.3)
        bar = figure.colorbar(mesh, ax=axis, orientation="horizontal", shrink=0.6, pad=0.04)
        bar.set_label(f"radial magnetic field, outward ({unit})")
    figure.suptitle("The Earth's main magnetic field from gappy, noisy satellite tracks")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main():
    """Simulate, check, fit, report, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", default="demo_magnetic_field.png", help="where the map goes")
    parser.add_argument("--seed", type=int, default=2025, help="of the noise and the checks")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)

    grid = sht.grids.FullGaussian.for_lmax(42)
    t = sht.Transform(LMAX, grid)
    print(f"{grid!r}")

    n, m, g, h = read_igrf()
    truth = t.synthesis(1e-3 * from_gauss(n, m, g, h, LMAX, ORBIT_RADIUS))
    seen = cells_seen(grid)
    data = np.where(seen, truth + NOISE * rng.standard_normal(grid.shape), 0.0)
    print(f"data                 {np.count_nonzero(seen)} of {grid.npoints} cells, noise 50 nT")

    check_transform(t, rng)
    scale, penalty = scale_and_penalty(LMAX, seen)
    x = np.zeros(sht.ncoef(LMAX), np.complex128)
    buffers = (np.zeros_like(x), np.zeros(grid.shape), t.scratch())
    constants = (scale, penalty, data, seen / NOISE**2, t, *buffers)
    gradient = value_and_grad(misfit, argnums=0)
    start = time.perf_counter()
    gradient(x, *constants)
    print(f"gradient compiled    in {time.perf_counter() - start:.1f} s")
    check_gradient(x + 1.0, gradient, constants, rng)
    primal = best_time(lambda: misfit(x, *constants))
    both = best_time(lambda: gradient(x, *constants))
    print(f"times                misfit {primal:.0f} µs, with gradient {both:.0f} µs")

    x = fit(x, gradient, constants)
    recovered = scale * x
    found = to_gauss(1e3 * recovered, n, m, LMAX, ORBIT_RADIUS)
    report(n, m, (g, h), found)
    draw(options.output, grid, truth, data, seen, t.synthesis(recovered))
    print(f"map                  {options.output}")


if __name__ == "__main__":
    main()
