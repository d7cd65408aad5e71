"""Who a neuron is: waveform class, layer and position of its unit, where the file has them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

# Columns of units.csv and the names under which the summary has them.
_COPIED = {
    "waveform_duration": "waveform_duration_ms",
    "probe_vertical_position_um": "probe_position_um",
    "anterior_posterior_ccf_coordinate": "ccf_ap_um",
    "dorsal_ventral_ccf_coordinate": "ccf_dv_um",
    "left_right_ccf_coordinate": "ccf_lr_um",
}
_LIGHT = ("opto_latency_ms", "opto_evoked_hz", "opto_p_holm", "genotype")
IDENTITY = ("area", "layer", "spiking", "optotagged", *_COPIED.values(), *_LIGHT)
FAST_BELOW_MS = 0.4
# Trough-to-peak times outside of this range are another unit, or another measure.
_PLAUSIBLE_MS = (0.05, 3.0)
_CORTEX = (
    *("VIS", "MO", "SS", "AUD", "ACA", "RSP", "PL", "ILA", "ORB", "AI", "TEa", "PERI", "ECT"),
    *("PTLp", "GU", "FRP"),
)
_LAYERED = re.compile(rf"((?:{'|'.join(_CORTEX)})[A-Za-z-]*?)(1|2/3|2|3|4|5|6a|6b|6)")
# Thalamus and midbrain of the Allen Brain Observatory, where a narrow waveform does not mark
# fast-spiking interneurons.
_NOT_CLASSIFIED = re.compile(
    r"(LG|LP|LD|TH|PO|VPM|VPL|SGN|MG|Eth|POL|PIL|PP|IGL|IntG|SC|APN|NOT|MB|MRN|RT|ZI|PPT)"
    r"(d|v|m|ig|op|sg|zo|L|T)*"
)

_DRIVER = re.compile(r"(?:^|[;\s])(\w+)-[^;/]*(?:Cre|Flp)", re.IGNORECASE)


def layer_of(area: object) -> tuple[str | None, str | None]:
    """Area and layer of a structure acronym of the Allen atlas.

    Parameters
    ----------
    area : str or missing

    Returns
    -------
    area, layer : str or None
        The layer is None where the acronym has none, as outside the isocortex.

    Examples
    --------
    >>> layer_of("VISam5"), layer_of("VISp2/3"), layer_of("VISp"), layer_of("CA1")
    (('VISam', 'L5'), ('VISp', 'L2/3'), ('VISp', None), ('CA1', None))
    """
    if not isinstance(area, str) or not area:
        return None, None
    found = _LAYERED.fullmatch(area)
    return (found[1], f"L{found[2]}") if found else (area, None)


def tagged_as(tagged: object, genotype: object) -> str | None:
    """Class of a unit that was tested with light: the gene that drives the opsin, or no.

    Parameters
    ----------
    tagged : bool, or missing
    genotype : str, or missing

    Returns
    -------
    str or None
        The gene of the first Cre or Flp line, ``yes`` if the genotype does not name one, ``no`` if
        the unit is not tagged, and None if it was not tested.

    Examples
    --------
    >>> mouse = "Pvalb-IRES-Cre/wt;Ai32(RCL-ChR2(H134R)_EYFP)/wt"
    >>> tagged_as(True, mouse), tagged_as(False, mouse), tagged_as(True, None)
    ('Pvalb', 'no', 'yes')
    """
    if pd.isna(tagged):
        return None
    if str(tagged) != "True":
        return "no"
    line = _DRIVER.search(genotype) if isinstance(genotype, str) else None
    return line[1] if line else "yes"


def identify(units: pd.DataFrame) -> pd.DataFrame:
    """Who the neurons are, one row per unit.

    Parameters
    ----------
    units : DataFrame
        units.csv; all columns but ``neuron_id`` are optional.

    Returns
    -------
    DataFrame, index neuron_id
        Those of `IDENTITY` that are known of any unit: ``area`` and ``layer``; ``spiking``, that
        is ``fast`` if the time from trough to peak of the waveform is below 0.4 ms and otherwise
        ``regular`` (the convention for Allen's units; Niell & Stryker 2008 for the two classes in
        mouse V1; missing in thalamus and midbrain, where narrow waveforms do not mark
        interneurons); ``optotagged``, see `tagged_as`; the waveform duration in milliseconds; the
        position along the probe above its tip and that in Allen's common coordinate framework, in
        micrometres; and of `meiflow.selection.optotagging` the response to light, and the genotype.

    Examples
    --------
    >>> units = {"neuron_id": ["1", "2", "3"], "area": ["VISam5", "VISam2/3", "LGd"]}
    >>> identify(pd.DataFrame(units).assign(waveform_duration=[0.22, 0.71, 0.25])).T
    neuron_id                 1        2     3
    area                  VISam    VISam   LGd
    layer                    L5     L2/3  None
    spiking                fast  regular  None
    waveform_duration_ms   0.22     0.71  0.25
    """
    found = pd.DataFrame(index=pd.Index(units["neuron_id"].astype(str), name="neuron_id"))
    if "area" in units:
        places = [layer_of(area) for area in units["area"]]
        found["area"] = pd.Series([a for a, _ in places], found.index, dtype=object)
        found["layer"] = pd.Series([layer for _, layer in places], found.index, dtype=object)
    for theirs, ours in _COPIED.items():
        if theirs in units:
            # Allen's files have -1 for a channel outside the atlas
            values = pd.to_numeric(units[theirs], errors="coerce").to_numpy(float)
            found[ours] = np.where(values >= 0, values, np.nan)
    if "waveform_duration_ms" in found:
        duration = found["waveform_duration_ms"]
        duration = duration.where(duration.between(*_PLAUSIBLE_MS))
        areas = found.get("area", pd.Series("", found.index)).fillna("")
        outside = areas.map(lambda area: _NOT_CLASSIFIED.fullmatch(area) is not None).astype(bool)
        kind = np.where(duration < FAST_BELOW_MS, "fast", "regular")
        kinds = pd.Series(kind, found.index, dtype=object)
        found["spiking"] = kinds.where(duration.notna() & ~outside, None)
        found["waveform_duration_ms"] = duration
    if "optotagged" in units:
        genotype = units["genotype"] if "genotype" in units else [None] * len(units)
        classes = [tagged_as(*pair) for pair in zip(units["optotagged"], genotype, strict=True)]
        found["optotagged"] = pd.Series(classes, found.index, dtype=object)
        for name in (name for name in _LIGHT if name in units):
            found[name] = units[name].to_numpy()
    known = [name for name in IDENTITY if name in found and found[name].notna().any()]
    return found[known]
