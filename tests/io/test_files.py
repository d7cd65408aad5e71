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
