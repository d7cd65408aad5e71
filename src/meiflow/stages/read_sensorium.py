"""What the tables stage reads from a folder in the layout of Sensorium 2022."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError, closest
from meiflow.progress import note
from meiflow.selection.reliability import TrialGroups, oracle_correlation
from meiflow.session.sensorium import SensoriumScan, read_sensorium
from meiflow.stages.read_tables import SessionTables
from meiflow.tables.counts import Trials, check_names
from meiflow.tables.raster import Raster

_MOST = 30_000_000  # trials times neurons; the table of trials then has a gigabyte


def tables_of_sensorium(config: Config) -> SessionTables:
    """Trials, neurons and images of the folder, and which images are for testing only."""
    own = config.session.sensorium
    scan = read_sensorium(str(own.folder), config.image.geometry.shape)
    for tier in scan.withheld:
        note(f"session.sensorium: tier {tier} is left out: its responses are all zero (withheld)")
    units = pd.DataFrame(scan.neurons)
    in_area = np.ones(len(units), bool)
    if own.area is not None:
        in_area = _in_area(units, own.area)
    columns = np.flatnonzero(in_area)
    if own.neurons is not None:
        columns = np.array([_column(units, name) for name in own.neurons])
    if own.most_reliable is not None:
        columns = _most_reliable(scan, columns, own.most_reliable)
    if len(columns) * len(scan.trials) > _MOST:
        raise MeiflowError(
            f"session.sensorium: {len(columns):,} neurons in {len(scan.trials):,} trials give more "
            f"than {_MOST:,} responses; set most_reliable, such as 200, or list neurons"
        )
    chosen = units.iloc[columns].reset_index(drop=True)
    names = chosen["neuron_id"].tolist()
    check_names(map(str, scan.trials), names, str(own.folder))
    values = scan.responses[:, columns].astype(float)
    trials = Trials(
        scan.trials.astype(str), names, scan.image_ids, values, config.session.response_type
    )
    found = {"in_file": len(units), "in_areas": int(in_area.sum()), "passed": len(names)}
    tests = tuple(int(i) for i in scan.shown[scan.tested])
    raster, text = Raster.of_trials(trials), f"{len(units)} in the folder, {len(names)} used"
    return SessionTables(
        trials, raster, None, chosen, found, {}, [], {}, {}, about={"units": text},
        stack=scan.images, tests=tests,
    )  # fmt: skip


def _in_area(units: pd.DataFrame, area: str) -> np.ndarray:
    if "area" not in units:
        raise MeiflowError(
            "session.sensorium.area: the folder has no meta/neurons/area.npy; remove the key"
        )
    found = (units["area"] == area).to_numpy()
    if not found.any():
        areas = sorted(set(units["area"]))
        raise MeiflowError(
            f"session.sensorium.area: no neuron in {area!r}{closest(area, areas)}; the areas are "
            f"{', '.join(areas)}"
        )
    return found


def _column(units: pd.DataFrame, name: str) -> int:
    found = np.flatnonzero(units["neuron_id"] == name)
    if not len(found):
        raise MeiflowError(
            f"session.sensorium.neurons: no neuron {name!r}{closest(name, units['neuron_id'])}"
        )
    return int(found[0])


def _most_reliable(scan: SensoriumScan, columns: np.ndarray, n: int) -> np.ndarray:
    """Columns of the neurons with the highest oracle correlation, in the order of the folder."""
    groups = TrialGroups.of(scan.image_ids)
    if groups.repeats.max() < 2:
        raise MeiflowError(
            "session.sensorium.most_reliable: no image was repeated in the trials with responses, "
            "so that the reliability is unknown; list neurons instead"
        )
    responses = scan.responses[:, columns].astype(float)
    oracle = oracle_correlation(responses - responses.mean(axis=0), groups)
    best = np.argsort(-np.nan_to_num(oracle, nan=-2.0), kind="stable")[:n]
    return columns[np.sort(best)]
