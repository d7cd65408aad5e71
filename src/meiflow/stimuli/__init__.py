"""Optimal stimuli for any differentiable model of images or movies.

All public names can be imported from here; heavy modules are imported only when used.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
