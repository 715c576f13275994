"""Images for the tests."""

import cv2
import numpy as np


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    out = cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma)
    return np.rint(out).astype(image.dtype)
