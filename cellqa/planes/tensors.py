"""Arrays of other libraries, as NumPy has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from cellqa.planes import Array


def as_array(value: Any, name: str = "") -> Array:
    """An array of anything that is one: NumPy, a torch tensor on any device, dask, xarray, lists.

    A tensor of half precision that NumPy does not know (bfloat16) becomes float32. torch is not
    loaded for it.

    Raises
    ------
    TypeError
        Pixels of a masked array are masked: what lies under the mask is no measurement.

    Examples
    --------
    >>> as_array([[1, 2]]).shape
    (1, 2)
    """
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a tensor
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
    if np.ma.is_masked(value):
        what = f"`{name}`" if name else "an array"
        raise TypeError(f"{what} has masked pixels; fill or crop them")
    return np.asarray(value)


def images_of(value: Any, name: str) -> list[Array]:
    """The images of a batch, each of shape (Y, X).

    Parameters
    ----------
    value : array_like
        (Y, X), (N, Y, X) or (N, 1, Y, X); or a list of images, whose sizes may differ.
    name : str
        Of the parameter, for errors.

    Raises
    ------
    ValueError
        It is none of these. Colours and channels have no place here: which of them is meant is
        for the caller to say.

    Examples
    --------
    >>> [image.shape for image in images_of(np.zeros((2, 1, 4, 5)), "pred")]
    [(4, 5), (4, 5)]
    """
    if isinstance(value, (list, tuple)) and value and not np.isscalar(value[0]):
        parts = [as_array(part) for part in value]
        if all(part.ndim > 1 for part in parts):
            parts = [_without_ones(part) for part in parts]
            for number, part in enumerate(parts):
                if part.ndim != 2:
                    raise ValueError(f"`{name}`[{number}] {_SHAPES[0]}, got {part.shape}")
            return parts
    batch = as_array(value)
    if batch.ndim == 4 and batch.shape[1] == 1:
        batch = batch[:, 0]
    if batch.ndim == 2:
        return [batch]
    if batch.ndim == 3 and batch.shape[2] > 4:
        return list(batch)
    hint = "; choose a channel or colour, as in [:, k] or [..., k]" * (batch.ndim > 2)
    raise ValueError(f"`{name}` {_SHAPES[1]}, got {batch.shape}{hint}")


_SHAPES = (
    "must have the shape (Y, X) or (1, Y, X)",
    "must have the shape (Y, X), (N, Y, X) or (N, 1, Y, X)",
)


def _without_ones(part: Array) -> Array:
    """An image without leading axes of length 1."""
    while part.ndim > 2 and part.shape[0] == 1:
        part = part[0]
    return part
