"""meiflow: from a recording session to each neuron's most exciting input (MEI).

The names of this package are loaded when they are first used (``__init__.pyi`` lists them).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
