"""Scale of the stimuli for a neuron: its preferred grating frequency."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from meiflow.config.experiments import Experiments
from meiflow.experiments.analysis import frequency_tuning
from meiflow.experiments.experiment import Respond, run
from meiflow.experiments.measures import response_curve
from meiflow.experiments.standard import GREY, Preferred, standard_experiments


def at_preferred_frequency(
    preferred: Preferred, respond: Respond, settings: Experiments | None = None
) -> Preferred:
    """The neuron's Gabor with the wavelength of its preferred grating.

    The wavelength of a best Gabor is meaningless if its envelope contains less than half a cycle,
    as for the blobs preferred by round receptive fields; stimuli scaled by it (apertures, spots,
    rings, bars) would have inappropriate sizes.

    Parameters
    ----------
    preferred : Preferred
        The best Gabor.
    respond : callable
        Function from images (n, height, width) to responses (n,).
    settings : Experiments, optional
        Section of the configuration; by default its defaults.

    Returns
    -------
    Preferred
        With the wavelength of the preferred frequency; unchanged if gratings do not drive the
        neuron.

    Examples
    --------
    >>> from meiflow.images.geometry import Geometry
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> field = gabor(screen, 10.0, 5.0, 20.0, 30.0, 0.0, 8.0)
    >>> respond = lambda images: np.maximum(((images - 0.5) * field).sum((1, 2)), 0)
    >>> guess = Preferred(screen, 10.0, 5.0, 60.0, 30.0, 0.0, 8.0)
    >>> bool(abs(at_preferred_frequency(guess, respond).wavelength_deg - 20.0) < 1.5)
    True
    """
    options = settings if settings is not None else Experiments()
    widest = options.aperture * preferred.sigma_deg * max(1.0, preferred.aspect)
    start = replace(preferred, wavelength_deg=min(preferred.wavelength_deg, widest))
    shown = standard_experiments(start, options.model_copy(update={"make": ["frequency"]}))
    table = run(shown["frequency"], respond)
    grey = np.asarray(respond(np.full((1, *preferred.geometry.shape), GREY, np.float32))).item()
    tuning = response_curve(table, "frequency_cpd", grey)
    best = frequency_tuning(tuning.index.to_numpy(dtype=float), tuning.to_numpy())
    if not np.isfinite(best.preferred_cpd):
        return preferred
    return replace(preferred, wavelength_deg=1 / best.preferred_cpd)
