"""Who a neuron is, as facts on its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from meiflow.report.columns import number

_CCF = ("ccf_ap_um", "ccf_dv_um", "ccf_lr_um")


def identity_facts(row: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Names and values of what is known of the neuron's unit; what is missing is left out.

    Examples
    --------
    >>> row = {"area": "VISam", "layer": "L5", "spiking": "fast", "waveform_duration_ms": 0.22}
    >>> identity_facts(row)
    [('area', 'VISam, L5'), ('waveform', 'fast spiking (0.22 ms)')]
    >>> identity_facts({"optotagged": "Pvalb", "opto_latency_ms": 2.6, "opto_evoked_hz": 84.2})
    [('optotagged', 'Pvalb (+84 spikes/s, after 2.6 ms)')]
    """
    known = {name: value for name, value in row.items() if not pd.isna(value)}
    facts = []
    if "area" in known:
        facts.append(("area", ", ".join(known[n] for n in ("area", "layer") if n in known)))
    if "waveform_duration_ms" in known:
        duration = f"{number(known['waveform_duration_ms'])} ms"
        spiking = known.get("spiking")
        facts.append(("waveform", f"{spiking} spiking ({duration})" if spiking else duration))
    if "optotagged" in known:
        facts.append(("optotagged", _light(known)))
    if "probe_position_um" in known:
        facts.append(("above the probe's tip", f"{known['probe_position_um']:.0f} µm"))
    if all(name in known for name in _CCF):
        place = ", ".join(f"{known[name]:.0f}" for name in _CCF)
        facts.append(("CCF: AP, DV, LR", f"{place} µm"))
    return facts


def _light(known: Mapping[Any, Any]) -> str:
    """Class by light; for a tagged unit also its response."""
    kind = str(known["optotagged"])
    measured = {"opto_latency_ms", "opto_evoked_hz"} <= set(known)
    if kind == "no" or not measured:
        return kind
    rate = f"{known['opto_evoked_hz']:+.0f} spikes/s"
    return f"{kind} ({rate}, after {known['opto_latency_ms']:.1f} ms)"
