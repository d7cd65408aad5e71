from . import experiments as experiments
from . import stimuli as stimuli
from .errors import MeiflowError as MeiflowError
from .images.geometry import Geometry as Geometry
from .models.fitted import FittedPopulation as FittedPopulation
from .models.fitting import fit as fit
from .models.network import load_model as load_model
from .results.session import open_results as open_results
from .stimuli.of_model import mei as mei

__version__: str
