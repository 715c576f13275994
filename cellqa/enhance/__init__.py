"""Enhancers. A new one is a module with a callable of a plane, and a line in `METHODS`."""

from cellqa.enhance.files import enhance_files
from cellqa.enhance.filters import METHODS, Traditional, clahe, unsharp_mask

__all__ = ["METHODS", "Traditional", "clahe", "enhance_files", "unsharp_mask"]
