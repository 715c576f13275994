"""Compiled loops over pairs of spectra: ring sums, and the phases that give a shift."""

from __future__ import annotations

import numpy as np

from cellqa.planes import Array
from cellqa.planes.compiled import kernel


@kernel(fastmath={"contract", "nsz"})
def ring_sums(first: Array, second: Array, rings: Array, n: int) -> Array:
    """Sums over each ring of Re(F G*), |F|^2, |G|^2 and |F|^2 |G|^2.

    The last is the variance of the first where the phases of F and G have nothing in common.

    Half planes of images of odd sides, as `rfft2` returns them; rows +y and -y lie in one ring,
    all but the first column count twice. Ring `n` takes what lies beyond.
    """
    ny, nx = first.shape
    sums = np.zeros((n + 1, 4))
    for y in range(ny // 2 + 1):
        for x in range(nx):
            f = first[y, x]
            g = second[y, x]
            cross = f.real * g.real + f.imag * g.imag
            power_f = f.real * f.real + f.imag * f.imag
            power_g = g.real * g.real + g.imag * g.imag
            both = power_f * power_g
            if y > 0:
                f = first[ny - y, x]
                g = second[ny - y, x]
                cross += f.real * g.real + f.imag * g.imag
                of_f = f.real * f.real + f.imag * f.imag
                of_g = g.real * g.real + g.imag * g.imag
                power_f += of_f
                power_g += of_g
                both += of_f * of_g
            if x > 0:
                cross *= 2
                power_f *= 2
                power_g *= 2
                both *= 2
            row = sums[rings[y, x]]
            row[0] += cross
            row[1] += power_f
            row[2] += power_g
            row[3] += both
    return sums


@kernel(fastmath={"contract", "nsz"})
def triple_sums(first: Array, second: Array, third: Array, rings: Array, n: int) -> Array:
    """Sums over each ring of |F|^2, Re(F G*), Re(F H*); as `ring_sums`."""
    ny, nx = first.shape
    sums = np.zeros((n + 1, 3))
    for y in range(ny // 2 + 1):
        for x in range(nx):
            f = first[y, x]
            g = second[y, x]
            h = third[y, x]
            power = f.real * f.real + f.imag * f.imag
            with_g = f.real * g.real + f.imag * g.imag
            with_h = f.real * h.real + f.imag * h.imag
            if y > 0:
                f = first[ny - y, x]
                g = second[ny - y, x]
                h = third[ny - y, x]
                power += f.real * f.real + f.imag * f.imag
                with_g += f.real * g.real + f.imag * g.imag
                with_h += f.real * h.real + f.imag * h.imag
            if x > 0:
                power *= 2
                with_g *= 2
                with_h *= 2
            row = sums[rings[y, x]]
            row[0] += power
            row[1] += with_g
            row[2] += with_h
    return sums


@kernel(error_model="numpy", fastmath={"contract", "nsz"})
def whiten(first: Array, second: Array, ky: int, kx: int, phases: Array, weighted: Array) -> None:
    """F* G over its magnitude into `phases`, over the root of its magnitude into `weighted`.

    Both take the rows -ky to ky (in the order of `rfft2`) and the columns 0 to kx - 1; `weighted`
    may have more rows, whose middle stays as it is.
    """
    ny = first.shape[0]
    longer = weighted.shape[0] - (2 * ky + 1)
    for row in range(2 * ky + 1):
        y = row if row <= ky else ny + row - (2 * ky + 1)
        at = row if row <= ky else row + longer
        for x in range(kx):
            f = first[y, x]
            g = second[y, x]
            real = f.real * g.real + f.imag * g.imag
            imag = f.real * g.imag - f.imag * g.real
            magnitude = np.sqrt(real * real + imag * imag)
            scale = 1 / magnitude if magnitude > 0 else 0.0
            phases[row, x] = complex(real * scale, imag * scale)
            root = np.sqrt(scale)
            weighted[at, x] = complex(real * root, imag * root)
    phases[0, 0] = 0  # the means say nothing about a shift
    weighted[0, 0] = 0


@kernel(fastmath={"contract", "nsz"})
def phase_sums(
    phases: Array, fy: Array, fx: Array, shift_y: float, shift_x: float, weights: Array
) -> tuple[Array, Array]:
    """How well a shift explains the phases: mean cosine of each ring, and its derivatives.

    `fy` and `fx` are the frequencies of rows and columns in cycles per pixel; ring k has the
    frequencies that round to k rows. Returned: for each ring, the sum of cosines and the number;
    then, over the weighted rings, gradient (y, x) and curvatures (yy, yx, xx) of the sum.
    """
    ny, nx = phases.shape
    n = weights.size
    rings = np.zeros((n, 2))
    slopes = np.zeros(5)
    step = np.exp(2j * np.pi * fx[1] * shift_x) if nx > 1 else 1.0 + 0j
    unit = fy[1]
    for row in range(ny):
        turn = np.exp(2j * np.pi * fy[row] * shift_y)
        for x in range(nx):
            p = phases[row, x] * turn
            turn *= step
            k = int(np.sqrt(fy[row] * fy[row] + fx[x] * fx[x]) / unit + 0.5)
            if k == 0 or k >= n:
                continue
            double = 1.0 if x == 0 else 2.0
            rings[k, 0] += double * p.real
            rings[k, 1] += double
            w = weights[k] * double
            if w > 0:
                slopes[0] -= w * p.imag * fy[row]
                slopes[1] -= w * p.imag * fx[x]
                slopes[2] -= w * p.real * fy[row] * fy[row]
                slopes[3] -= w * p.real * fy[row] * fx[x]
                slopes[4] -= w * p.real * fx[x] * fx[x]
    slopes[:2] *= 2 * np.pi
    slopes[2:] *= 4 * np.pi * np.pi
    return rings, slopes
