"""Compiled loops. Each replaces a chain of array operations that would be memory bound.

All release the GIL and use one thread; see `cellqa.planes.compiled` for when and where they are
compiled. Arrays of an image's size are made by the caller: NumPy asks for huge pages, numba does
not, and faulting small ones in costs as much as the loops.
"""

from __future__ import annotations

import numpy as np

from cellqa.planes import Array
from cellqa.planes.compiled import kernel

# n ln n of the small counts that most cells of a joint histogram hold.
_N_LOG_N = np.concatenate([[0.0], np.arange(1, 1024) * np.log(np.arange(1, 1024))])


@kernel(fastmath={"contract", "reassoc", "nsz"})
def squared_error(reference: Array, image: Array, gain: float, offset: float) -> float:
    """Sum of squares of reference - (gain x image + offset), in float64."""
    total = 0.0
    for y in range(reference.shape[0]):
        row = 0.0
        for x in range(reference.shape[1]):
            difference = np.float64(reference[y, x]) - (gain * image[y, x] + offset)
            row += difference * difference
        total += row
    return total


@kernel(fastmath={"contract", "reassoc", "nsz"})
def squared_sum(plane: Array) -> float:
    """Sum of squares, in float64."""
    total = 0.0
    for y in range(plane.shape[0]):
        row = 0.0
        for x in range(plane.shape[1]):
            value = np.float64(plane[y, x])
            row += value * value
        total += row
    return total


@kernel(fastmath={"contract", "reassoc", "nsz"})
def products(first: Array, second: Array, mean1: float, mean2: float) -> tuple[float, float]:
    """Sums of (first - mean1)(second - mean2) and of (second - mean2)^2, in float64."""
    cross = 0.0
    square = 0.0
    for y in range(first.shape[0]):
        row_cross = 0.0
        row_square = 0.0
        for x in range(first.shape[1]):
            deviation = np.float64(second[y, x]) - mean2
            row_cross += (np.float64(first[y, x]) - mean1) * deviation
            row_square += deviation * deviation
        cross += row_cross
        square += row_square
    return cross, square


@kernel()
def to_levels(plane: Array, low: float, scale: float, out: Array) -> Array:
    """The bin (0 to 255) of each pixel; values outside fall into the end bins."""
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            level = (np.float64(plane[y, x]) - low) * scale
            out[y, x] = np.uint8(min(max(level, 0.0), 255.0))
    return out


@kernel()
def histogram(image: Array, levels: int) -> Array:
    """Number of pixels at each level."""
    counts = np.zeros(levels, np.int32)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            counts[image[y, x]] += 1
    return counts


@kernel()
def joint_histogram(rows: Array, columns: Array, levels: int) -> Array:
    """Number of pixels at each pair of levels; an image has fewer than 2**31 pixels."""
    counts = np.zeros((levels, levels), np.int32)
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            counts[rows[y, x], columns[y, x]] += 1
    return counts


@kernel()
def halve(plane: Array, out: Array) -> Array:
    """2 x 2 means; an odd side repeats its last row or column."""
    ny, nx = plane.shape
    for y in range(out.shape[0]):
        upper = plane[2 * y]
        lower = plane[min(2 * y + 1, ny - 1)]
        row = out[y]
        for x in range(nx // 2):
            total = np.float64(upper[2 * x]) + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1]
            row[x] = 0.25 * total
        if nx % 2:
            row[nx // 2] = 0.5 * (np.float64(upper[nx - 1]) + lower[nx - 1])
    return out


@kernel(fastmath={"contract", "reassoc", "nsz"})
def _filter_row(planes: Array, w: Array, out: Array) -> None:
    """Filter the rows of `planes` with the 11 symmetric weights of which `w` holds six."""
    w0, w1, w2, w3, w4, w5 = w[0], w[1], w[2], w[3], w[4], w[5]
    for k in range(planes.shape[0]):
        row = planes[k]
        target = out[k]
        for x in range(target.size):
            target[x] = (
                w0 * (row[x] + row[x + 10])
                + w1 * (row[x + 1] + row[x + 9])
                + w2 * (row[x + 2] + row[x + 8])
                + w3 * (row[x + 3] + row[x + 7])
                + w4 * (row[x + 4] + row[x + 6])
                + w5 * row[x + 5]
            )


@kernel(fastmath={"contract", "reassoc", "nsz"})
def _rows_to(ring: Array, y: int) -> tuple[Array, ...]:
    """The eleven filtered rows that end with row y, in order."""
    return (
        ring[(y + 1) % 11],
        ring[(y + 2) % 11],
        ring[(y + 3) % 11],
        ring[(y + 4) % 11],
        ring[(y + 5) % 11],
        ring[(y + 6) % 11],
        ring[(y + 7) % 11],
        ring[(y + 8) % 11],
        ring[(y + 9) % 11],
        ring[(y + 10) % 11],
        ring[y % 11],
    )


@kernel(fastmath={"contract", "reassoc", "nsz"})
def _weighted(rows: tuple[Array, ...], w: Array, k: int, x: int) -> float:
    """Plane k of eleven filtered rows, filtered across them at x."""
    total: float = (
        w[0] * (rows[0][k, x] + rows[10][k, x])
        + w[1] * (rows[1][k, x] + rows[9][k, x])
        + w[2] * (rows[2][k, x] + rows[8][k, x])
        + w[3] * (rows[3][k, x] + rows[7][k, x])
        + w[4] * (rows[4][k, x] + rows[6][k, x])
        + w[5] * rows[5][k, x]
    )
    return total


@kernel(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _similarity_of_row(
    rows: tuple[Array, ...],
    w: Array,
    c1: float,
    c2: float,
) -> tuple[float, float]:
    """Sums of SSIM and of its contrast term over one row, from eleven filtered rows.

    Nothing is stored, so that LLVM needs no proof that arrays do not overlap, and vectorises the
    whole.
    """
    whole = 0.0
    contrast = 0.0
    for x in range(rows[0].shape[1]):
        mean_r = _weighted(rows, w, 0, x)
        mean_i = _weighted(rows, w, 1, x)
        squares = _weighted(rows, w, 2, x)
        product = _weighted(rows, w, 3, x)
        of_means = mean_r * mean_i
        squared = mean_r * mean_r + mean_i * mean_i
        cs = (2 * (product - of_means) + c2) / (squares - squared + c2)
        contrast += cs
        whole += cs * (2 * of_means + c1) / (squared + c1)
    return whole, contrast


@kernel(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def similarity(
    reference: Array,
    image: Array,
    weights: Array,
    c1: float,
    c2: float,
) -> tuple[float, float]:
    """Mean of SSIM and of its contrast-structure term over the pixels that the window fits.

    Four planes are filtered: x, y, x^2 + y^2 and x y; rows as they are read, columns from a ring
    of the last eleven filtered rows, so that nothing of the image's size is ever stored.
    """
    ny, nx = reference.shape
    width = nx - 10
    ring = np.empty((11, 4, width))
    planes = np.empty((4, nx))
    whole = 0.0
    contrast = 0.0
    for y in range(ny):
        for x in range(nx):
            r = np.float64(reference[y, x])
            i = np.float64(image[y, x])
            planes[0, x] = r
            planes[1, x] = i
            planes[2, x] = r * r + i * i
            planes[3, x] = r * i
        _filter_row(planes, weights, ring[y % 11])
        if y < 10:
            continue
        row_whole, row_contrast = _similarity_of_row(
            _rows_to(ring, y),
            weights,
            c1,
            c2,
        )
        whole += row_whole
        contrast += row_contrast
    n = (ny - 10) * width
    return whole / n, contrast / n


@kernel(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _similarities_of_row(
    rows: tuple[Array, ...],
    w: Array,
    c1: float,
    c2: float,
    gain: float,
    offset: float,
    local: Array,
) -> tuple[float, float, float, float]:
    """As `_similarity_of_row`, also of gain x image + offset; SSIM of each pixel into `local`."""
    whole = 0.0
    contrast = 0.0
    whole_fit = 0.0
    contrast_fit = 0.0
    for x in range(rows[0].shape[1]):
        mean_r = _weighted(rows, w, 0, x)
        mean_i = _weighted(rows, w, 1, x)
        square_r = _weighted(rows, w, 2, x)
        square_i = _weighted(rows, w, 3, x)
        product = _weighted(rows, w, 4, x)
        variance_r = square_r - mean_r * mean_r
        variance_i = square_i - mean_i * mean_i
        covariance = product - mean_r * mean_i
        cs = (2 * covariance + c2) / (variance_r + variance_i + c2)
        both = cs * (2 * mean_r * mean_i + c1) / (mean_r * mean_r + mean_i * mean_i + c1)
        local[x] = both
        contrast += cs
        whole += both
        mean_f = gain * mean_i + offset
        cs = (2 * gain * covariance + c2) / (variance_r + gain * gain * variance_i + c2)
        contrast_fit += cs
        whole_fit += cs * (2 * mean_r * mean_f + c1) / (mean_r * mean_r + mean_f * mean_f + c1)
    return whole, contrast, whole_fit, contrast_fit


@kernel(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def similarities(
    reference: Array,
    image: Array,
    weights: Array,
    c1: float,
    c2: float,
    gain: float,
    offset: float,
    labels: Array,
    n: int,
) -> tuple[Array, Array]:
    """In one pass what `similarity` gives for the image, for gain x image + offset, and by label.

    Returned: means of SSIM and of its contrast-structure term, of the image, then of the fitted
    image; for each label below `n`, the sum of the image's SSIM and the number of its pixels that
    the window fits (`labels` may be empty if `n` is 0). Five planes are filtered: x, y, x^2, y^2
    and x y.
    """
    ny, nx = reference.shape
    width = nx - 10
    ring = np.empty((11, 5, width))
    planes = np.empty((5, nx))
    local = np.empty(width)
    totals = np.zeros(4)
    sums = np.zeros((n, 2))
    for y in range(ny):
        for x in range(nx):
            r = np.float64(reference[y, x])
            i = np.float64(image[y, x])
            planes[0, x] = r
            planes[1, x] = i
            planes[2, x] = r * r
            planes[3, x] = i * i
            planes[4, x] = r * i
        _filter_row(planes, weights, ring[y % 11])
        if y < 10:
            continue
        of_row = _similarities_of_row(
            _rows_to(ring, y),
            weights,
            c1,
            c2,
            gain,
            offset,
            local,
        )
        for k in range(4):
            totals[k] += of_row[k]
        if n > 0:
            for x in range(width):
                label = labels[y - 5, x + 5]
                if label > 0:
                    sums[label, 0] += local[x]
                    sums[label, 1] += 1
    return totals / ((ny - 10) * width), sums


@kernel()
def label_sums(reference: Array, image: Array, labels: Array, n: int) -> Array:
    """Number, y, x, reference, image, squared error, squared reference: sums of each label < n."""
    sums = np.zeros((n, 7))
    for y in range(reference.shape[0]):
        for x in range(reference.shape[1]):
            label = labels[y, x]
            if label < 1:
                continue
            r = np.float64(reference[y, x])
            i = np.float64(image[y, x])
            row = sums[label]
            row[0] += 1
            row[1] += y
            row[2] += x
            row[3] += r
            row[4] += i
            row[5] += (r - i) * (r - i)
            row[6] += r * r
    return sums


@kernel()
def sum_n_log_n(counts: Array) -> float:
    """Sum of n ln n over a histogram."""
    total = 0.0
    for n in counts.flat:
        if n > 1:
            total += _N_LOG_N[n] if n < _N_LOG_N.size else n * np.log(n)
    return total
