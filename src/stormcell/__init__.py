"""stormcell: super-resolution pictures from blinking-fluorophore movies, and how far to trust them."""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, _lazy = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_lazy, "__version__"]
