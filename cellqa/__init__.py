"""Judge enhanced microscope images: how good, by how much, how sure.

The public names stand in `__init__.pyi`. They load when they are first used, so that `import
cellqa` is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
