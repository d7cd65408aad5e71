import numpy as np
import pandas as pd
import pytest

from meiflow.errors import MeiflowError, closest, shorten
from meiflow.io.files import atomic, read_array, read_arrays, read_csv, write_arrays, write_csv


def test_failure_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_csv_round_trip_and_complaints(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "b": [0.1, np.nan]})
    write_csv(table, tmp_path / "deep" / "t.csv")
    pd.testing.assert_frame_equal(read_csv(tmp_path / "deep" / "t.csv", ("a",)), table)
    (tmp_path / "bom.csv").write_bytes("\ufeffa,b\n1,2\n".encode())
    assert read_csv(tmp_path / "bom.csv", ("a", "b"))["a"].tolist() == [1]
    with pytest.raises(MeiflowError, match=r"missing column c; found a, b; required: c"):
        read_csv(tmp_path / "deep" / "t.csv", ("c",))
    with pytest.raises(MeiflowError, match="no such file"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(MeiflowError, match="not a readable CSV"):
        read_csv(tmp_path / "empty.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(MeiflowError, match="not a readable CSV"):
        read_csv(tmp_path / "bytes.csv")


ROWS = "7,012,3,0\n7,12,0,0\n"
NEEDED = ("trial_id", "neuron_id", "spike_count", "image_id")


@pytest.mark.parametrize(
    "header",
    [
        "trial_id ,neuron_id ,spike_count ,image_id ",
        "trial_id\t,neuron_id\t,spike_count\t,image_id\t",
        '"trial_id "," neuron_id","spike_count\u00a0","image_id"',
        "\ufefftrial_id, neuron_id\u200b,spike_count,image_id",
    ],
)
def test_blanks_around_column_names_are_ignored(tmp_path, header):
    """Also for the columns of ids, which stay text: 012 is not 12."""
    (tmp_path / "t.csv").write_text(f"{header}\n{ROWS}", encoding="utf-8")
    table = read_csv(tmp_path / "t.csv", NEEDED)
    assert list(table.columns) == list(NEEDED)
    assert table["neuron_id"].tolist() == ["012", "12"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sep=,\ntrial_id,neuron_id,spike_count,image_id\n", "first line is 'sep=,'; remove it"),
        ("\ufeffSEP=;\nx;y\n", "the first line is 'SEP=;'; remove it"),
        ("# counts of mouse 3\n" + ",".join(NEEDED), "the first line is '# counts of mouse 3'; re"),
        ("# " + ",".join(NEEDED) + "\n" + ROWS, "; remove the # before the column names"),
        ("Trial ID,neuron_id,spike_count,image_id\n" + ROWS, "rename 'Trial ID' to trial_id"),
        ("trialId,neuron_id,spike_count,image_id\n" + ROWS, "; rename 'trialId' to trial_id"),
        ("trial_id,trial_id ,neuron_id,spike_count,image_id\n1,1,a,2,3\n", "duplicate column tri"),
        (ROWS, "; the first line has numbers: add a line with the column names"),
        ("trial id,neuron_id,x\n1,2,3", "found 'trial id', neuron_id, x;"),
    ],
)
def test_headers_of_other_programs_are_explained(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(MeiflowError) as caught:
        read_csv(tmp_path / "t.csv", NEEDED)
    assert message in str(caught.value)


def test_utf_16_is_explained(tmp_path):
    (tmp_path / "t.csv").write_text(",".join(NEEDED), encoding="utf-16")
    with pytest.raises(MeiflowError, match=r"because it is UTF-16\); save it as CSV in UTF-8"):
        read_csv(tmp_path / "t.csv", NEEDED)


def test_arrays_never_carry_objects(tmp_path):
    write_arrays({"x": np.arange(3), "names": np.array(["a", "b"])}, tmp_path / "a.npz")
    assert read_arrays(tmp_path / "a.npz")["names"].tolist() == ["a", "b"]
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(MeiflowError, match="not a readable"):
        read_array(tmp_path / "o.npy")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:50])
    with pytest.raises(MeiflowError, match="not a readable"):
        read_arrays(tmp_path / "cut.npz")
    for reader in (read_array, read_arrays):
        with pytest.raises(MeiflowError, match="no such file"):
            reader(tmp_path / "none")


def test_hints():
    assert closest("VISa", ["VISam", "CA1"]) == " (did you mean 'VISam'?)"
    assert closest("zzz", ["VISam"]) == ""
    assert shorten(range(12), 3) == "0, 1, 2, ... (9 more)"
