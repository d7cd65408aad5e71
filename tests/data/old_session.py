"""Write old_session.nwb: a small session in the layout of Allen's writer of 2020.

The released files are NWB core 2.2.2. This script ran once, in two environments with AllenSDK's
pins of 2023, the first with the pynwb that writes that version (and cannot read its strings
back through h5py 3), the second with one that reads them:

    pins='setuptools<75 allensdk==2.16.2 numpy<1.24 pandas==1.5.3 h5py==3.8.0 ruamel.yaml<0.18'
    python3.11 -m venv old && old/bin/pip install $pins pynwb==1.3.0 hdmf==1.6.4
    python3.11 -m venv mid && mid/bin/pip install $pins pynwb==2.2.0 hdmf==3.4.7
    old/bin/python tests/data/old_session.py write tests/data
    mid/bin/python tests/data/old_session.py count tests/data

The tables are written by AllenSDK's functions (`Presentations`, `Probes`, running, eye
tracking, invalid times). ``count`` writes old_session_counts.csv: the spikes of every
presentation, counted by AllenSDK in that environment from 0 to 0.25 s ("fixed") and to the
presentation's own end ("own"). It miscounts unsorted spike trains, so they are
sorted first.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pynwb
from allensdk.brain_observatory.behavior.data_objects.stimuli.presentations import Presentations
from allensdk.brain_observatory.ecephys._channel import Channel
from allensdk.brain_observatory.ecephys._channels import Channels
from allensdk.brain_observatory.ecephys._probe import Probe
from allensdk.brain_observatory.ecephys._unit import Unit
from allensdk.brain_observatory.ecephys._units import Units
from allensdk.brain_observatory.ecephys.ecephys_session import EcephysSession
from allensdk.brain_observatory.ecephys.ecephys_session_api import EcephysNwbSessionApi
from allensdk.brain_observatory.ecephys.probes import Probes
from allensdk.brain_observatory.ecephys.write_nwb import __main__ as writer
from allensdk.brain_observatory.nwb import add_invalid_times, add_stimulus_timestamps

# hdmf 1.6 passes lists of np.unicode_ to h5py; h5py 3 (the oldest for Python 3.11) refuses them.
np.str_ = str

CHANNELS = 6
UNITS = 7
AREAS = ("VISam", "VISp")
rng = np.random.default_rng(20)


def stimulus_table():
    """Gabors, static gratings and scenes with a frame clock that is not quite 60 Hz."""
    positions = np.arange(-40.0, 41.0, 10.0)
    gabors = [
        {"stimulus_name": "gabors", "stimulus_block": 0.0, "x_position": x, "y_position": y,
         "orientation": o, "size": "[20.0, 20.0]", "phase": "[3644.93333333, 3644.93333333]",
         "spatial_frequency": 0.08, "temporal_frequency": 4.0, "contrast": 0.8}
        for x in positions for y in positions for o in (0.0, 45.0, 90.0)
    ]  # fmt: skip
    gratings = [
        {"stimulus_name": "static_gratings", "stimulus_block": 2.0, "orientation": o,
         "spatial_frequency": f"{sf}", "phase": f"{phase}", "size": "[250.0, 250.0]",
         "contrast": 0.8}
        for o in np.arange(0.0, 180.0, 30.0) for sf in (0.02, 0.04, 0.08, 0.16, 0.32)
        for phase in (0.0, 0.25, 0.5, 0.75)
    ]  # fmt: skip
    scenes = [
        {"stimulus_name": "natural_scenes", "frame": float(frame)}
        for frame in np.tile(np.arange(-1, 8), 8)
    ]
    parts = [gabors, scenes[:36], gratings, scenes[36:]]
    rows, now = [], 5.0
    for block, part in enumerate(parts):
        rows.append({"stimulus_name": "spontaneous", "start_time": now, "stop_time": now + 4})
        now += 4
        for i in rng.permutation(len(part)):
            length = 0.2335 if not rows[1:] else 0.2502
            rows.append(
                {**part[i], "stimulus_block": float(block), "start_time": now,
                 "stop_time": now + length}
            )  # fmt: skip
            now += length
    index = {"spontaneous": 0, "gabors": 1, "natural_scenes": 2, "static_gratings": 3}
    table = pd.DataFrame(rows)
    return table.assign(stimulus_index=table["stimulus_name"].map(index).astype(float)), now


def probes(end_s, shown):
    """Two probes; each has units that fail a filter, one out of order and one silent."""
    made = []
    for number, area in enumerate(AREAS):
        probe_id = 760_000_000 + number
        name = "probe" + "AB"[number]
        channels = [
            Channel(
                id=850_000_000 + 100 * number + i, probe_id=probe_id, valid_data=i != 1,
                probe_channel_number=i, probe_vertical_position=20 * (i // 2 + 1),
                probe_horizontal_position=11 + 32 * (i % 2),
                structure_acronym="" if i == CHANNELS - 1 else area,
                anterior_posterior_ccf_coordinate=8000.0 + i,
                dorsal_ventral_ccf_coordinate=1000.0 + i, left_right_ccf_coordinate=7000.0 + i,
                filtering="AP band: 500 Hz high-pass; LFP band: 1000 Hz low-pass",
            )
            for i in range(CHANNELS)
        ]  # fmt: skip
        units = []
        for i in range(UNITS):
            rate = 0.0 if i == 3 else 2.0 + 1.5 * i
            spikes = np.sort(rng.uniform(0, end_s, rng.poisson(rate * end_s)))
            if i == 2:
                # half of them at the very end of the window
                spikes = np.sort(np.concatenate([spikes[::2], shown[::2] + 0.25]))
            if i == 4:
                spikes = rng.permutation(spikes)
            units.append(
                Unit(
                    id=951_000_000 + 1000 * number + 13 * (UNITS - i),
                    peak_channel_id=channels[(0, 2, 3, 4, 2, 1, 5)[i]].id, local_index=i,
                    cluster_id=i, quality="good", firing_rate=rate,
                    isi_violations=0.9 if i == 0 and number else 0.1 * (i % 3),
                    presence_ratio=0.99, amplitude_cutoff=np.nan if i == 1 and number else 0.01,
                    mean_waveforms=rng.normal(size=(CHANNELS, 4)).astype(np.float32),
                    spike_amplitudes=np.full(len(spikes), 1e-4), spike_times=spikes, snr=2.0 + i,
                    waveform_duration=0.3, filter_and_sort_spikes=False,
                )
            )  # fmt: skip
        made.append(Probe(id=probe_id, name=name, channels=Channels(channels), units=Units(units)))
    return Probes(made)


def eye(end_s):
    """Ellipse fits at 30 Hz with a blink; the pupil grows slowly."""
    times = pd.Series(np.arange(1.0, end_s, 0.2))
    half = 20 + 5 * times / end_s
    half[100:110] = np.nan
    ellipse = pd.DataFrame(
        {"center_x": 300.0, "center_y": 200.0, "height": half, "width": 0.9 * half, "phi": 0.1}
    )
    area = np.pi * 0.9 * half**2
    screen = pd.DataFrame({"y_pos_cm": 0 * times, "x_pos_cm": 0 * times})
    spherical = screen.rename(columns=lambda c: c.replace("cm", "deg"))
    gaze = {"synced_frame_timestamps": times}
    for kind in ("raw", "new"):
        gaze[f"{kind}_eye_areas"] = 4 * area
        gaze[f"{kind}_pupil_areas"] = area
        gaze[f"{kind}_screen_coordinates"] = screen
        gaze[f"{kind}_screen_coordinates_spherical"] = spherical
    fits = {"pupil_params": ellipse, "cr_params": ellipse / 5, "eye_params": ellipse * 2}
    return times, fits, gaze


def write(path):
    table, end_s = stimulus_table()
    end_s += 5
    nwbfile = pynwb.NWBFile(
        session_description="Data and metadata for an Ecephys session",
        identifier="798000000", session_id="798000000", institution="Allen Institute",
        session_start_time=datetime(2019, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    nwbfile = writer.add_metadata_to_nwbfile(
        nwbfile,
        {"specimen_name": "old", "age_in_days": 90.0, "full_genotype": "wt/wt", "strain": "x",
         "sex": "F", "stimulus_name": "brain_observatory_1.1", "species": "Mus musculus",
         "donor_id": 1},
    )  # fmt: skip
    add_stimulus_timestamps(nwbfile, table["start_time"].values)
    Presentations(table).to_nwb(nwbfile)
    scenes = table[table["stimulus_name"] == "natural_scenes"]
    lost = scenes["start_time"].iloc[7]
    add_invalid_times(
        nwbfile,
        [
            {"type": "EcephysSession", "id": 798000000, "label": "stimulus",
             "start_time": lost - 0.01, "end_time": lost + 0.6},
            {"type": "EcephysProbe", "id": 760000001, "label": "probeB",
             "start_time": lost + 2, "end_time": lost + 3},
        ],
    )  # fmt: skip
    probes(end_s, table["start_time"].to_numpy()).to_nwb(nwbfile)
    times = np.arange(0.0, end_s, 0.1)
    writer.add_running_speed_to_nwbfile(
        nwbfile,
        pd.DataFrame({"start_time": times, "end_time": times + 0.1, "velocity": times / 10,
                      "net_rotation": 0 * times}),
    )  # fmt: skip
    writer.add_eye_tracking_data_to_nwbfile(nwbfile, *eye(end_s))
    with pynwb.NWBHDF5IO(str(path), mode="w") as io:
        io.write(nwbfile, cache_spec=True)


def count(path):
    session = EcephysSession(api=EcephysNwbSessionApi(path=str(path)))
    units = np.sort(session.units.index.to_numpy())
    for train in session.spike_times.values():
        train.sort()
    tables = []
    for name in ("natural_scenes", "gabors", "static_gratings"):
        ids = session.get_stimulus_table(name).index.to_numpy()
        fixed = session.presentationwise_spike_counts([0.0, 0.25], ids, units).to_numpy()[:, 0, :]
        spikes = session.presentationwise_spike_times(ids, units)
        own = spikes.groupby(["stimulus_presentation_id", "unit_id"]).size().unstack(fill_value=0)
        own = own.reindex(index=ids, columns=units, fill_value=0).to_numpy()
        for window, counts in (("fixed", fixed), ("own", own)):
            table = pd.DataFrame(counts.astype(int), columns=units)
            table.insert(0, "presentation", ids)
            table.insert(0, "window", window)
            table.insert(0, "stimulus", name)
            tables.append(table)
    pd.concat(tables).to_csv(path.with_name("old_session_counts.csv"), index=False)


if __name__ == "__main__":
    {"write": write, "count": count}[sys.argv[1]](Path(sys.argv[2]) / "old_session.nwb")
