"""Images as arrays: checked, and what is compiled over them."""

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
