"""Names of the procedures' stimuli; a light module, so that the workflow can import it."""

from __future__ import annotations

# Procedure -> stimulus, for procedures that make excitatory images. These are shown to simulated
# neurons at the common mean and contrast; for receptive fields, the linear RF is shown.
SHOWN_PROCEDURES = {
    "population_mei": "noise_mei",
    "notebook_mei": "notebook_mei",
    "walker_mei": "walker_mei",
    "regularised_natural": "regularised_natural",
    "receptive_field": "linear_field",
}
