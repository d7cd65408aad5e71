"""Running, pupil and gaze in an NWB file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.session.store import Node

_RUNNING = ("running_speed", "speed", "running_velocity", "linear velocity", "velocity")
_ELLIPSES = {
    "corneal_reflection": ("cr_ellipse_fits", "corneal_reflection_tracking"),
    "pupil": ("pupil_ellipse_fits", "pupil_tracking"),
    "eye": ("eye_ellipse_fits", "eye_tracking"),
}
_AXES = ("center_x", "center_y", "height", "width", "phi")


def _times(series: Node, n: int) -> NDArray[np.float64] | None:
    """Times of the samples of a series, which may be given by a rate."""
    times = series.values("timestamps")
    if times is not None:
        return times
    start = series.data("starting_time")
    rate = None if start is None else start.attrs.get("rate")
    if not rate:
        return None
    return float(np.asarray(start[...]).reshape(-1)[0]) + np.arange(n) / float(rate)


def _series(module: Node) -> Iterator[tuple[str, Node]]:
    """Series of a module, also within containers such as BehavioralTimeSeries."""
    for name, group in module.groups():
        if group.data("data") is not None:
            yield name, group
        else:
            yield from ((n, g) for n, g in group.groups() if g.data("data") is not None)


def read_running(root: Node) -> pd.DataFrame | None:
    """Running speed in cm/s, None if there is none.

    Returns
    -------
    DataFrame or None
        start_time, end_time, velocity. Where the file has no times of ends, a sample ends with the
        start of the next one.
    """
    for name in ("running", "behavior"):
        module = root.group(f"processing/{name}")
        if module is None:
            continue
        series = dict(_series(module))
        speed = next((series[n] for n in _RUNNING if n in series), None)
        if speed is None:
            continue
        velocity = speed.values("data")
        times = None if velocity is None else _times(speed, len(velocity))
        if velocity is None or times is None or velocity.ndim != 1 or len(velocity) < 2:
            continue
        if str(speed.data("data").attrs.get("unit", "")) in ("m/s", "meters/s", "m/sec"):
            velocity = 100 * velocity
        ends = module.values("running_speed_end_times/timestamps")
        if ends is None:
            ends = np.append(times[1:], 2 * times[-1] - times[-2])
        return pd.DataFrame({"start_time": times, "end_time": ends, "velocity": velocity})
    return None


def _fits(module: Node, layouts: tuple[str, ...]) -> dict[str, NDArray] | None:
    """Ellipses in either layout: a table of columns, or a series of centres."""
    table = next((g for g in map(module.group, layouts) if g is not None), None)
    if table is None:
        return None
    centre = table.values("data")
    if centre is not None:  # EllipseSeries
        centres = {"center_x": centre[:, 0], "center_y": centre[:, 1]}
        names = {"height": "height", "width": "width", "phi": "angle"}
    else:
        centres, names = {}, {axis: axis for axis in _AXES}
    found = {axis: table.values(name) for axis, name in names.items()}
    known = {axis: values for axis, values in found.items() if values is not None}
    return centres | known if len(known) == len(found) else None


def read_pupil(root: Node) -> pd.DataFrame | None:
    """Ellipses fitted to the eye, by time in seconds; None without eye tracking.

    Returns
    -------
    DataFrame or None
        Centre, height, width and angle (phi) of ``pupil``, ``eye`` and ``corneal_reflection``; the
        files contain half axes, the table whole ones, as AllenSDK's.
    """
    fits = root.group("processing/eye_tracking")
    times = root.values("processing/raw_gaze_mapping/eye_area/timestamps")
    if fits is None or times is None:
        for home in ("acquisition/EyeTracking", "processing/eye_tracking"):
            fits = root.group(home)
            times = root.values(f"{home}/pupil_tracking/timestamps")
            if fits is not None and times is not None:
                break
    if fits is None or times is None:
        return None
    columns: dict[str, NDArray] = {}
    for name, names in _ELLIPSES.items():
        fit = _fits(fits, names)
        if fit is None:
            if name == "pupil":
                return None
            continue
        for axis in _AXES:
            columns[f"{name}_{axis}"] = 2 * fit[axis] if axis in ("height", "width") else fit[axis]
    return pd.DataFrame(columns, index=pd.Index(times, name="Time (s)"))


def read_gaze(root: Node) -> pd.DataFrame | None:
    """Areas of eye and pupil and position of gaze, by time in seconds, as AllenSDK's table."""
    home = root.group("processing/raw_gaze_mapping")
    if home is None or root.group("processing/filtered_gaze_mapping") is None:
        return None
    screen = home.values("screen_coordinates/data")
    sphere = home.values("screen_coordinates_spherical/data")
    areas = home.values("eye_area/data"), home.values("pupil_area/data")
    times = home.values("eye_area/timestamps")
    if screen is None or sphere is None or times is None or areas[0] is None or areas[1] is None:
        return None
    return pd.DataFrame(
        {
            "raw_eye_area": areas[0],
            "raw_pupil_area": areas[1],
            "raw_screen_coordinates_x_cm": screen[:, 1],
            "raw_screen_coordinates_y_cm": screen[:, 0],
            "raw_screen_coordinates_spherical_x_deg": sphere[:, 1],
            "raw_screen_coordinates_spherical_y_deg": sphere[:, 0],
        },
        index=pd.Index(times, name="Time (s)"),
    )
