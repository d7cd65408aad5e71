"""Experiments on models: what a physiologist would do with a neuron.

Everything public can be imported from here; nothing heavy is imported before it is used.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
