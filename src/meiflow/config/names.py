"""Names of the procedures' stimuli; light, so that the workflow can read it."""

from __future__ import annotations

# Procedure -> stimulus, where its images are meant to excite. They are shown to simulated
# neurons at the common mean and contrast; of a receptive field, the linear one.
SHOWN_PROCEDURES = {
    "population_mei": "noise_mei",
    "notebook_mei": "notebook_mei",
    "walker_mei": "walker_mei",
    "regularised_natural": "regularised_natural",
    "receptive_field": "linear_field",
}
