"""Data for the templates: no markup, no file access."""

from __future__ import annotations

import math
from dataclasses import dataclass
from shlex import quote
from typing import Any

import pandas as pd

from meiflow.config.sections import Session
from meiflow.images.spectrum import ORIENTED
from meiflow.io.files import read_csv
from meiflow.report.brief import brief
from meiflow.report.columns import (
    KINDS,
    Column,
    TableCell,
    cell,
    choices_of,
    columns_of,
    corrected,
    number,
)
from meiflow.report.drawing import Drawing, picture_uri
from meiflow.report.headline import (
    FunnelStep,
    Sentence,
    confidence_summary,
    findings,
    funnel,
    mei_summary,
)
from meiflow.report.identity import identity_facts
from meiflow.report.key_numbers import Beyond, KeyNumber, beyond_gabor, key_numbers
from meiflow.report.linked import FURTHER, further_values, linked_of
from meiflow.report.methods import counting, further_stimuli
from meiflow.report.neuron_plots import neuron_plots
from meiflow.report.overview_drawings import overview_drawings, ranked
from meiflow.report.plot import Plot, packed, packed_plots
from meiflow.report.plot_session import session_document
from meiflow.report.session_data import SessionData, mask_of
from meiflow.report.trust import (
    Trust,
    TrustCalibration,
    is_doubted,
    nuisance_of,
    precision_text,
    trust_of,
)

_COMPARED = {
    "stimulus": "stimulus",
    "predicted_response": "predicted count",
    "mei_ratio": "MEI / this",
    "mei_ratio_low": "from",
    "mei_ratio_high": "to",
    "similarity_to_mei": "similarity to MEI",
    "orientation_deg": "orientation (deg)",
    "peak_frequency_cpd": "frequency (c/deg)",
    "size_deg": "size (deg)",
    "luminance": "luminance in mask",
    "contrast": "contrast in mask",
    "symmetry_1": "symmetry 1",
    "symmetry_2": "symmetry 2",
}
_CARD = ("mei", "best_gabor", "best_natural")


@dataclass(frozen=True)
class NeuronPage:
    """Everything shown about one neuron.

    ``card`` is the text below its pictures in the gallery; ``pictures`` are the small pictures
    there, by stimulus, each with its alternative text; ``store`` is the compressed text of its
    figures, whose names, titles and captions are in ``drawings``. ``over_gabor`` is the ratio of
    MEI and best Gabor with its interval, if known; ``linked`` is `meiflow.report.linked.linked_of`.
    """

    id: str
    name: str
    trust: Trust | None
    holds: bool | None
    nuisance: str
    facts: list[tuple[str, str]]
    drawings: list[Plot]
    store: str
    pictures: dict[str, tuple[str, str]]
    comparison: tuple[list[str], list[list[str]]]
    command: str
    card: str
    cells: list[TableCell]
    over_gabor: tuple[float, float, float] | None
    linked: dict[str, Any]

    @property
    def doubted(self) -> bool:
        """Whether the MEI was judged, and is not trusted."""
        return is_doubted(self.trust)


@dataclass(frozen=True)
class ReportView:
    """All data shown on the page."""

    title: str
    simulated: bool
    source: str
    area: str
    brief: list[tuple[str, str]]
    key_numbers: list[KeyNumber]
    stages: list[FunnelStep]
    confidence_summary: list[str]
    mei_summary: list[Sentence]
    findings: list[Sentence]
    precision: str
    columns: list[Column]
    choices: list[tuple[str, str, list[str]]]
    judged: bool
    pages: list[NeuronPage]
    drawings: dict[str, Drawing]
    plots: str
    summary_csv: str
    run_command: str
    config_name: str
    unstable: int
    recorded: int
    selected: int
    fitted: int
    provisional: bool
    notebook: bool
    without_scenes: str
    counting: str
    further_stimuli: str
    further_columns: dict[str, str]
    intervals: bool

    @property
    def beyond_gabor(self) -> list[Beyond]:
        """Neurons that no Gabor explains."""
        return beyond_gabor(
            Beyond(page.id, page.trust, *page.over_gabor) for page in self.pages if page.over_gabor
        )


def _area(session: Session) -> str:
    if session.source == "tables":
        return "custom tables"
    if session.source == "sensorium":
        area = session.sensorium.area
        return "all neurons of the folder" if area is None else f"neurons in {area}"
    return ", ".join(session.areas) if session.areas else "all areas"


def build_view(data: SessionData, calibration: TrustCalibration | None) -> ReportView:
    """Collect the data and draw the figures.

    Parameters
    ----------
    data : SessionData
    calibration : TrustCalibration or None
        Precision of the trust flag; None if it was not measured.
    """
    from meiflow.progress import track

    config = data.config
    columns = columns_of(data.summary, data.response)
    rows = {str(row["neuron_id"]): row for row in data.summary.to_dict("records")}
    order, further = ranked(data), further_values(data)
    config_name = f"meiflow-{config.session.id}.json"
    pages = [
        _page(data, neuron, rows[neuron], columns, config_name, further)
        for neuron in track(order, "drawing neurons", len(order))
    ]
    return ReportView(
        title=config.report.title or f"Session {config.session.id}",
        simulated=data.simulated,
        source=config.session.source,
        area=_area(config.session),
        brief=brief(data),
        key_numbers=key_numbers(data, calibration),
        stages=funnel(data),
        confidence_summary=confidence_summary(data, calibration),
        mei_summary=mei_summary(data),
        findings=findings(data),
        precision=precision_text(calibration, data.response.real),
        columns=columns,
        choices=choices_of(data.summary, KINDS),
        judged=any(page.trust is not None and page.trust.kind != "unknown" for page in pages),
        pages=pages,
        drawings=overview_drawings(data),
        plots=packed(session_document(data)),
        summary_csv=data.summary.to_csv(index=False, float_format="%.8g", lineterminator="\n"),
        run_command=f"snakemake --cores 2 --configfile {quote(config_name)}",
        config_name=config_name,
        unstable=int((~data.table["is_stable"].astype(bool)).sum()),
        recorded=len(data.table),
        selected=data.selected,
        fitted=data.fitted,
        provisional=data.provisional,
        notebook=config.comparison.notebook,
        without_scenes=data.without_scenes,
        counting=counting(data),
        further_stimuli=further_stimuli(data),
        further_columns={name: FURTHER[name] for name in further},
        intervals="mei_over_best_gabor_low" in data.summary,
    )


def _page(
    data: SessionData,
    neuron: str,
    row: dict[Any, Any],
    columns: list[Column],
    config_name: str,
    further: pd.DataFrame,
) -> NeuronPage:
    target = str(data.files(neuron).comparison)
    held = row["model_above_chance"]
    images, mask = data.images(neuron), mask_of(data, neuron)
    drawings = neuron_plots(data, neuron, images, mask)
    return NeuronPage(
        id=neuron,
        name=f"neuron-{neuron}",
        trust=trust_of(row),
        holds=None if pd.isna(held) else bool(held),
        nuisance=nuisance_of(row),
        facts=_facts(data, neuron, row),
        drawings=drawings,
        store=packed_plots(drawings),
        pictures={
            name: (picture_uri(images[name]), data.called(_alt_text(name, neuron, row)))
            for name in _CARD
            if name in images
        },
        comparison=_comparison(data, read_csv(data.files(neuron).comparison, ("stimulus",))),
        command=f"snakemake --cores 2 --configfile {quote(config_name)} --forcerun stimuli -- "
        f"{quote(target)}",
        card=f"CC_norm {corrected(row['cc_norm_model'])}; MEI/Gabor {_times(row, 'best_gabor')}, "
        f"MEI/windowed natural {_times(row, 'windowed_natural')}",
        cells=[_cell(column.name, row) for column in columns],
        over_gabor=_over_gabor(row),
        linked=linked_of(images["mei"], mask, data.config.image.geometry, further.loc[neuron]),
    )


def _alt_text(name: str, neuron: str, row: dict[Any, Any]) -> str:
    if name == "best_gabor":
        return f"Best Gabor in silico of neuron {neuron}"
    if name == "best_natural":
        return f"Best natural image of neuron {neuron}"
    return (
        f"MEI of neuron {neuron}: {number(row['mei_peak_frequency_cpd'], 3)} cycles per degree, "
        f"{_orientation(row)}, at "
        f"{number(row['mei_x_deg'], 0)}, {number(row['mei_y_deg'], 0)} degrees (azimuth, elevation)"
    )


def _times(row: dict[Any, Any], other: str) -> str:
    return number(row.get(f"mei_over_{other}", math.nan))


def _cell(name: str, row: dict[Any, Any]) -> TableCell:
    """A cell of the table; a round MEI has no orientation."""
    if name == "mei_orientation_deg" and not _is_oriented(row):
        return cell(name, None)
    return cell(name, row[name])


def _is_oriented(row: dict[Any, Any]) -> bool:
    return bool(row["mei_symmetry_1"] >= ORIENTED)  # False if unknown


def _orientation(row: dict[Any, Any]) -> str:
    """The orientation of the MEI, if it has one."""
    if not _is_oriented(row):
        return f"no single orientation (symmetry {number(row['mei_symmetry_1'])})"
    return f"orientation {number(row['mei_orientation_deg'], 0)}°"


def _facts(data: SessionData, neuron: str, row: dict[Any, Any]) -> list[tuple[str, str]]:
    """The numbers at the top of a neuron's page."""
    own = data.table.set_index(data.table["neuron_id"].astype(str)).loc[neuron]
    facts = [
        ("CC_norm, held out", corrected(row["cc_norm_model"])),
        ("pixel ridge", number(row["cc_norm_pixel_ridge"])),
        ("shuffled control", number(row["cc_norm_model_shuffled"])),
        ("oracle", f"{number(row['oracle'])} (p {number(row['oracle_p'], 4)})"),
        (
            ("mean response", number(row["mean_response"]))
            if data.response.real
            else ("mean rate", f"{number(row['mean_rate_hz'], 1)} Hz")
        ),
        ("MEI / best Gabor", _interval(row, "mei_over_best_gabor")),
        ("MEI / natural, windowed", _interval(row, "mei_over_windowed_natural")),
        ("MEI / natural, whole", number(row.get("mei_over_best_natural", math.nan))),
        ("orientation", _orientation(row).removeprefix("orientation ")),
        ("frequency", f"{number(row['mei_peak_frequency_cpd'], 3)} cycles/deg"),
        ("size", f"{number(row['mei_size_deg'], 0)}°"),
        ("position", f"{number(row['mei_x_deg'], 0)}°, {number(row['mei_y_deg'], 0)}°"),
    ]
    if "cell_type" in row and not pd.isna(row["cell_type"]):
        facts.append(("cell type of the model", str(row["cell_type"])))
    if "invariance_deg" in row and not pd.isna(row["invariance_deg"]):
        facts.append(("invariance: angle from the MEI", f"{number(row['invariance_deg'], 0)}°"))
    if "kind" in row:
        facts.append(("simulated as", str(row["kind"]).replace("_", " ")))
        facts.append(
            ("true drive of the MEI", f"{number(row['mei_true_fraction'])} of the maximum")
        )
    trust = trust_of(row)
    if trust is not None and trust.expected is not None:
        facts[:0] = [
            ("expected drive of the MEI", f"{number(trust.expected)} of the maximum"),
            ("CC_norm, lower end", number(row.get("cc_norm_low", math.nan))),
            ("agreement of fold models", number(row.get("fold_agreement", math.nan))),
            ("strongest response reproduced", number(row.get("peak_ratio", math.nan))),
        ]
    facts += [*identity_facts(row), ("selected", str(own["reason"]))]
    return facts


def _interval(row: dict[Any, Any], name: str) -> str:
    value, low, high = (row.get(f"{name}{end}", math.nan) for end in ("", "_low", "_high"))
    if pd.isna(value):
        return "–"
    return f"{number(value)}" + ("" if pd.isna(low) else f" ({number(low)} to {number(high)})")


def _over_gabor(row: dict[Any, Any]) -> tuple[float, float, float] | None:
    ends = [row.get(f"mei_over_best_gabor{end}", math.nan) for end in ("", "_low", "_high")]
    return None if any(pd.isna(end) for end in ends) else (ends[0], ends[1], ends[2])


def _comparison(data: SessionData, table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    names = [name for name in _COMPARED if name in table]
    rows = [[cell(name, row[name]).text.replace("_", " ") for name in names] for row in
            table.to_dict("records")]  # fmt: skip
    return [data.response.words(_COMPARED[name]) for name in names], rows
