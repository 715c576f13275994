"""Sharpen microscope images with a network, trained and stopped by what cellqa measures.

The public names stand in `__init__.pyi`. They load when they are first used, so that `import
ciegan` is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
