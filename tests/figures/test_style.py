"""The same figure is the same file."""

from __future__ import annotations

import numpy as np

from meiflow.figures.style import new_figure, style


def test_positions_have_no_rounding_errors_of_the_solver():
    """These depend on memory addresses: one in five layouts of this figure differed."""
    layouts, kept = set(), []
    for repeat in range(6):
        kept.append([bytearray(16 + 7 * (i % 29)) for i in range(997 * (repeat % 5))])
        with style():
            figure = new_figure(7.08, 5.0)
            upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.7, 1.0])[:, 0]
            axes = upper.subplots(2, 5, squeeze=False, height_ratios=[0.85, 1.0])
            for ax in axes.flat:
                picture = ax.imshow(np.eye(6, 9))
                ax.set(title="two\nlines", xlabel="azimuth (deg)")
            upper.colorbar(picture, ax=list(axes[1]), label="power", shrink=0.8, aspect=15)
            lower.subplots(1, 3)
            figure.draw_without_rendering()
        places = [ax.get_position(original=True).bounds for ax in figure.axes]
        places += [part.bbox_relative.get_points().ravel() for part in figure.subfigs]
        layouts.add(tuple(np.concatenate(places)))
    assert len(layouts) == 1
    for part in figure.subfigs:
        np.testing.assert_array_equal(*(part.bbox_relative.get_points().round(d) for d in (9, 16)))
    for ax in figure.axes:
        np.testing.assert_array_equal(
            *(ax.get_position(original=True).get_points().round(d) for d in (9, 16))
        )
