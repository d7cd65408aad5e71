"""Stimuli with parameters, and the parameters that define their conditions."""

PARAMETRIC = {
    "gabors": ["x_position", "y_position", "orientation"],
    "static_gratings": ["orientation", "spatial_frequency", "phase"],
    "drifting_gratings": ["orientation", "temporal_frequency"],
    "flashes": ["color"],
}
# Stimuli that are not movies.
NOT_MOVIES = ("natural_scenes", *PARAMETRIC, "spontaneous")
