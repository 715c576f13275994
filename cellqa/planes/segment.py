"""Objects of an image, found the same way in each: bright, and apart from each other."""

from __future__ import annotations

import cv2
import numpy as np

from cellqa.planes import Array
from cellqa.planes.compiled import kernel
from cellqa.planes.plane import Plane

_SMOOTH = 1.0  # sigma before the threshold, pixels
_LEAST_AREA = 20  # pixels
_APART = 0.75  # pixels that distance to the border must fall by, between two objects
_DEPTH = 2.0  # sigma that distances are smoothed by
_ROUNDING = 2e-6  # of a distance in float32


def segmented(plane: Plane) -> Array:
    """Labels of the bright objects of a plane.

    A Gaussian of one pixel, Otsu's threshold, holes filled, and a watershed of the distance to the
    border, smoothed by two pixels; objects below 20 pixels are left out. Dark objects on a bright
    ground are none.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        0 is background, k the k-th object.

    References
    ----------
    Otsu 1979, doi 10.1109/TSMC.1979.4310076; Vincent 1993, doi 10.1109/83.217222; Beucher and
    Meyer 1993, The morphological approach to segmentation: the watershed transformation.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.indices((60, 60))
    >>> image = (np.hypot(y - 20, x - 20) < 9) * 50 + (np.hypot(y - 34, x - 34) < 12) * 60
    >>> int(segmented(Plane.of(image, "image")).max())
    2
    """
    if plane.flat:
        return np.zeros(plane.shape, np.int32)
    from scipy.ndimage import binary_fill_holes
    from skimage.filters import threshold_otsu  # slow to import
    from skimage.segmentation import relabel_sequential, watershed

    low, high = plane.extremes
    pixels = ((plane.real - low) / (high - low)).astype(np.float32)
    smooth = cv2.GaussianBlur(pixels, (0, 0), _SMOOTH)
    bright = binary_fill_holes(smooth > threshold_otsu(smooth))
    if bright.all():  # dark objects on a bright ground: none stands out
        return np.zeros(plane.shape, np.int32)
    distance = cv2.distanceTransform(bright.astype(np.uint8), cv2.DIST_L2, 5)
    distance = cv2.GaussianBlur(distance, (0, 0), _DEPTH) * bright
    # of a peak, what stands out of all that it can be left by (Soille 2003, h-maxima); the second
    # summand is more than rounding
    lower = distance - np.float32(_APART) - np.float32(_ROUNDING) * distance
    peaks = distance - grown(lower.copy(), distance) >= _APART
    _, seeds = cv2.connectedComponents(peaks.astype(np.uint8), connectivity=8)
    whole = _with_all(bright, seeds)
    labels = watershed(-distance, whole, mask=bright)
    areas = np.bincount(labels.ravel())
    small = areas < _LEAST_AREA
    labels[small[labels]] = 0
    return np.asarray(relabel_sequential(labels)[0], np.int32)


def _with_all(bright: Array, seeds: Array) -> Array:
    """Seeds, and one for each part that is too flat to have had any."""
    number, parts = cv2.connectedComponents(bright.astype(np.uint8), connectivity=4)
    seeded = np.zeros(number, bool)
    seeded[np.unique(parts[seeds > 0])] = True
    lonely = (parts > 0) & ~seeded[parts]
    return np.where(lonely, seeds.max() + parts, seeds)


@kernel()
def grown(inner: Array, outer: Array) -> Array:
    """Grow `inner` within `outer` as far as it reaches without rising: in place, and returned.

    Grey-scale reconstruction by dilation over eight neighbours: two scans, and what is left goes
    through a queue (Vincent 1993, the hybrid algorithm). `inner` is `outer` at most.
    """
    rows, columns = inner.shape
    for y in range(rows):
        for x in range(columns):
            top = inner[y, x]
            if x > 0:
                top = max(top, inner[y, x - 1])
            if y > 0:
                for k in range(max(x - 1, 0), min(x + 2, columns)):
                    top = max(top, inner[y - 1, k])
            inner[y, x] = min(top, outer[y, x])
    waiting = np.zeros(inner.size, np.bool_)
    queue = np.empty(inner.size, np.int64)
    first = 0
    length = 0
    for y in range(rows - 1, -1, -1):
        for x in range(columns - 1, -1, -1):
            top = inner[y, x]
            if x < columns - 1:
                top = max(top, inner[y, x + 1])
            if y < rows - 1:
                for k in range(max(x - 1, 0), min(x + 2, columns)):
                    top = max(top, inner[y + 1, k])
            top = min(top, outer[y, x])
            inner[y, x] = top
            spreads = x < columns - 1 and inner[y, x + 1] < min(top, outer[y, x + 1])
            if y < rows - 1:
                for k in range(max(x - 1, 0), min(x + 2, columns)):
                    if inner[y + 1, k] < min(top, outer[y + 1, k]):
                        spreads = True
            if spreads:
                queue[length] = y * columns + x
                waiting[y * columns + x] = True
                length += 1
    while length > 0:
        place = queue[first]
        first = (first + 1) % queue.size
        length -= 1
        waiting[place] = False
        y = place // columns
        x = place % columns
        for j in range(max(y - 1, 0), min(y + 2, rows)):
            for k in range(max(x - 1, 0), min(x + 2, columns)):
                top = min(inner[y, x], outer[j, k])
                if inner[j, k] < top:
                    inner[j, k] = top
                    if not waiting[j * columns + k]:
                        waiting[j * columns + k] = True
                        queue[(first + length) % queue.size] = j * columns + k
                        length += 1
    return inner
