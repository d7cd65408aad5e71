"""MEI properties by area and class, with neurons in sessions."""

import numpy as np
import pandas as pd
import pytest

from meiflow.combined.hierarchical import compare_groups


def neurons_of(sessions, group_of, effect, rng, per_session=12):
    """Neurons whose session matters more than they do; `effect` is added to the group a."""
    rows = []
    for session in range(sessions):
        mouse = rng.normal(0, 2)
        for i in range(per_session):
            group = group_of(session, i)
            value = 20 + mouse + effect * (group == "a") + rng.normal(0, 1)
            rows.append((f"m{session}", group, value, True))
    columns = ["session_id", "spiking", "mei_size_deg", "model_above_chance"]
    return pd.DataFrame(rows, columns=columns)


def test_groups_of_different_animals_rarely_differ_by_chance():
    """Pooling all neurons calls most of these differences significant."""
    rng = np.random.default_rng(1)
    found, pooled = [], []
    for i in range(60):
        table = neurons_of(16, lambda session, _: "ab"[session % 2], 0.0, rng)
        found.append(compare_groups(table, i)[1]["p"].iloc[0])
        a, b = (part["mei_size_deg"] for _, part in table.groupby("spiking"))
        pooled.append(abs(a.mean() - b.mean()) > 1.96 * np.sqrt(a.sem() ** 2 + b.sem() ** 2))
    assert np.mean(pooled) > 0.4
    assert np.mean(np.array(found) < 0.05) <= 0.15  # 5 % except for chance and few sessions


def test_groups_of_the_same_animals_are_compared_within_them():
    """The difference is a quarter of the spread over animals, and yet certain."""
    rng = np.random.default_rng(2)
    groups, differences = compare_groups(neurons_of(10, lambda _, i: "ab"[i % 2], 1.5, rng), 0)
    (row,) = differences.to_dict("records")
    assert row["difference"] == pytest.approx(1.5, abs=0.5)
    assert row["low"] > 0
    assert row["p"] < 0.01
    assert row["shared_sessions"] == 10
    widths = groups["high"] - groups["low"]
    assert (widths > row["high"] - row["low"]).all()  # most of it is common to both groups


def test_few_sessions_give_no_interval_and_failed_models_do_not_count():
    rng = np.random.default_rng(3)
    table = neurons_of(4, lambda _, i: "abc"[i % 3], 1.0, rng)
    table.loc[table["spiking"] == "c", "model_above_chance"] = False
    groups, differences = compare_groups(table, 0)
    assert groups["group"].tolist() == ["a", "b"]
    assert groups["mean"].notna().all()
    assert groups[["low", "high"]].isna().all(axis=None)
    assert differences[["low", "high", "p", "p_holm"]].isna().all(axis=None)
    assert not len(compare_groups(table.drop(columns="spiking"), 0)[0])
