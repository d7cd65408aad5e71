"""Names under which NWB files of different origins store the same thing.

The first name of each list is that of the Allen Brain Observatory; the others are tried in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PEAK = ("peak_channel_id",)
EXTREMUM = ("extremum_channel_index", "peak_channel_index")
AREA = ("area", "brain_area", "brain_region", "structure", "location", "ccf_location")
PROBE = ("probe", "device_name", "group_name", "probe_name")
LABEL = ("quality",)
# Judgements that together replace `quality`, and the values that exclude a unit.
VERDICTS = {
    "default_qc": ("fail", "failed", "false", "0", "0.0"),
    "decoder_label": ("noise",),
}

# Metrics of units; AllenSDK's names, and those in the files.
METRICS: dict[str, tuple[str, ...]] = {
    "firing_rate": ("firing_rate",),
    "isi_violations": ("isi_violations", "isi_violations_ratio"),
    "amplitude_cutoff": ("amplitude_cutoff",),
    "presence_ratio": ("presence_ratio",),
    "snr": ("snr",),
    "cluster_id": ("cluster_id",),
    "local_index": ("local_index",),
    "isolation_distance": ("isolation_distance",),
    "L_ratio": ("l_ratio", "L_ratio"),
    "d_prime": ("d_prime",),
    "nn_hit_rate": ("nn_hit_rate",),
    "nn_miss_rate": ("nn_miss_rate",),
    "silhouette_score": ("silhouette_score",),
    "max_drift": ("max_drift",),
    "cumulative_drift": ("cumulative_drift",),
    "waveform_amplitude": ("amplitude", "waveform_amplitude"),
    "waveform_duration": ("waveform_duration", "duration"),
    "waveform_halfwidth": ("waveform_halfwidth", "halfwidth"),
    "waveform_PT_ratio": ("PT_ratio", "waveform_PT_ratio"),
    "waveform_recovery_slope": ("recovery_slope", "waveform_recovery_slope"),
    "waveform_repolarization_slope": ("repolarization_slope", "waveform_repolarization_slope"),
    "waveform_spread": ("spread", "waveform_spread"),
    "waveform_velocity_above": ("velocity_above", "waveform_velocity_above"),
    "waveform_velocity_below": ("velocity_below", "waveform_velocity_below"),
}

# Metrics that the filters need; without a value where the file has none.
FILTERED = ("isi_violations", "amplitude_cutoff", "presence_ratio")

# Columns of stimulus tables.
PRESENTATIONS: dict[str, tuple[str, ...]] = {
    "stimulus_name": ("stimulus_name", "stim_name", "stimulus_type", "stimulus"),
    "start_time": ("start_time", "onset_time", "onset"),
    "stop_time": ("stop_time", "end_time", "offset_time", "offset"),
    "stimulus_block": ("stimulus_block", "stim_block", "block"),
    "frame": ("frame", "Image", "image", "image_index", "image_id", "stim_index"),
    "orientation": ("orientation", "Orientation", "Ori", "ori"),
    "x_position": ("x_position", "Pos_x", "pos_x", "X"),
    "y_position": ("y_position", "Pos_y", "pos_y", "Y"),
    "spatial_frequency": ("spatial_frequency", "Spatial_Frequency", "SF", "sf"),
    "temporal_frequency": ("temporal_frequency", "Temporal_Frequency", "TF", "tf"),
    "phase": ("phase", "Phase"),
    "contrast": ("contrast", "Contrast"),
    "color": ("color", "Color"),
}

# Stimuli, as AllenSDK renames them.
STIMULI = {
    "": "spontaneous",
    "Natural Images": "natural_scenes",
    "flash_250ms": "flashes",
    "gabor_20_deg_250ms": "gabors",
    "contrast_response": "drifting_gratings_contrast",
    "Natural_Images_Shuffled": "natural_scenes_shuffled",
    "Natural_Images_Sequential": "natural_scenes_sequential",
    "natural_movie_shuffled": "natural_movie_one_shuffled",
    "motion_stimulus": "dot_motion",
    "drifting_gratings_more_repeats": "drifting_gratings_75_repeats",
    "signal_noise_test_0_200_repeats": "test_movie_one",
    "signal_noise_test_0": "test_movie_one",
    "signal_noise_test_1": "test_movie_two",
    "signal_noise_session_1": "dense_movie_one",
    "signal_noise_session_2": "dense_movie_two",
    "signal_noise_session_3": "dense_movie_three",
    "signal_noise_session_4": "dense_movie_four",
    "signal_noise_session_5": "dense_movie_five",
    "signal_noise_session_6": "dense_movie_six",
}
NUMERALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def first_of(names: Iterable[str], present: Iterable[str], own: str | None = None) -> str | None:
    """The first of the names that is present; only `own` if it is given.

    Examples
    --------
    >>> first_of(("isi_violations", "isi_violations_ratio"), ["isi_violations_ratio", "snr"])
    'isi_violations_ratio'
    >>> first_of(("snr",), ["snr", "my_snr"], own="my_snr")
    'my_snr'
    """
    candidates = names if own is None else (own,)
    present = set(present)
    return next((name for name in candidates if name in present), None)


def renamed(present: Iterable[str], own: Mapping[str, str]) -> dict[str, str]:
    """Which columns of a stimulus table have another name, by the name in the file.

    Parameters
    ----------
    present : iterable of str
        Columns of the table.
    own : mapping of str to str
        Names given in ``session.columns.presentations``.

    Examples
    --------
    >>> renamed(["start_time", "Orientation", "X", "Y", "im"], {"frame": "im"})
    {'im': 'frame', 'Orientation': 'orientation', 'X': 'x_position', 'Y': 'y_position'}
    """
    there = list(present)
    found = {}
    for name, names in PRESENTATIONS.items():
        theirs = first_of(names, there, own.get(name))
        if theirs is not None and theirs != name:
            found[theirs] = name
    return found
