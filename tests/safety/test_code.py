"""Loading files never executes code: neither our calls nor the content of files can."""

from __future__ import annotations

import ast
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from meiflow.config.config import load_config
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.files import read_array, read_arrays, read_csv
from meiflow.models.archive import ModelArchive, write_archive
from meiflow.models.documents import read_document, write_document
from meiflow.models.network import NeuronModel, load_model, save_model
from meiflow.session.images import load_images
from tests.known import linear

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
SCREEN = Geometry(6, 8)

# Calls that execute their input, and modules for this purpose.
FORBIDDEN = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.unsafe_load"}
FORBIDDEN |= {"yaml.full_load", "yaml.load_all", "pandas.read_pickle", "pd.read_pickle"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "runpy"}
MODULES |= {"subprocess", "pty", "code", "codeop", "telnetlib"}
# Start meiflow itself in the same interpreter.
OWN_PROGRAM = {"warm.py": ["import subprocess"], "client.py": ["os.execv"]}
# Arguments that a call must have.
NEEDED = {
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
    "np.savez_compressed": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
    "yaml.load": ("Loader", "_Loader"),
    "Environment": ("autoescape", True),
}


def faults(text: str) -> Iterator[str]:
    """Calls and imports of a module that could execute loaded data."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names = names if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"import {n}" for n in names if n.split(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {k.arg: k.value for k in node.keywords}
        if name in FORBIDDEN or name.startswith("os.exec") or name.startswith("os.spawn"):
            yield name
        if "shell" in given:
            yield f"{name} with shell"
        if name in NEEDED:
            key, value = NEEDED[name]
            said = ast.unparse(given[key]) if key in given else None
            if said != str(value):
                yield f"{name} without {key}={value}"


@pytest.mark.parametrize("path", SOURCES, ids=[str(p.relative_to(ROOT)) for p in SOURCES])
def test_no_module_runs_what_it_loads(path: Path) -> None:
    assert list(faults(path.read_text(encoding="utf-8"))) == OWN_PROGRAM.get(path.name, [])


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "eval(x)",
        "os.system(x)",
        "os.execv(x, y)",
        "f(x, shell=True)",
        "yaml.load(x)",
        "yaml.load(x, Loader=Loader)",
        "np.load(x)",
        "np.load(x, allow_pickle=True)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
    ],
)
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    assert list(faults(text))


def test_only_the_users_own_modules_are_imported_by_name() -> None:
    """Only the configuration names them; the command line imports our stages."""
    users = {p.name for p in SOURCES if "import_module" in p.read_text(encoding="utf-8")}
    assert users == {"custom.py", "stages.py", "warm.py"}


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def plain_pickle(path: Path, bomb: Any) -> None:
    path.write_bytes(pickle.dumps(bomb))


def torch_pickle(path: Path, bomb: Any) -> None:
    torch.save({"format": 2, "neurons": bomb}, path)


def old_torch_pickle(path: Path, bomb: Any) -> None:
    torch.save({"format": 2, "neurons": bomb}, path, _use_new_zipfile_serialization=False)


def object_array(path: Path, bomb: Any) -> None:
    with path.open("wb") as handle:
        np.save(handle, np.array([bomb], dtype=object), allow_pickle=True)


def object_archive(path: Path, bomb: Any) -> None:
    with path.open("wb") as handle:
        np.savez(handle, x=np.array([bomb], dtype=object))


def pickle_in_archive(path: Path, bomb: Any) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", pickle.dumps(bomb))
        archive.writestr("7/model.pt", pickle.dumps(bomb))
        archive.writestr("archive/data.pkl", pickle.dumps(bomb))
        archive.writestr("archive/version", "3")


WRITERS = [plain_pickle, torch_pickle, old_torch_pickle, object_array, object_archive]
WRITERS += [pickle_in_archive]
READERS: dict[str, Callable[[Path], Any]] = {
    "model.pt": lambda path: load_model(path, SCREEN),
    "models.zip": lambda path: ModelArchive(path, SCREEN).model("7"),
    "part.pt": read_document,
    "images.npy": read_array,
    "stack.npy": lambda path: load_images(path, (6, 8)),
    "raster.npz": read_arrays,
    "trials.csv": lambda path: read_csv(path, ("trial_id",)),
    "config.yaml": load_config,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("write", WRITERS)
def test_a_hostile_file_is_refused_and_does_nothing(
    name: str, write: Callable[[Path, Any], None], tmp_path: Path
) -> None:
    path, made = tmp_path / name, tmp_path / "made"
    write(path, Touch(made))
    with pytest.raises(MeiflowError, match=name):
        READERS[name](path)
    assert not made.exists()


def test_the_hostile_object_is_hostile(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Touch(tmp_path / "made")))
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.mkdir ['{}']",
        "!!python/object/new:os.mkdir ['{}']",
        "!!python/object/apply:subprocess.run [[mkdir, '{}']]",
        "!!python/module:os",
        "!!python/name:os.mkdir",
    ],
)
def test_hostile_yaml_is_refused_and_does_nothing(tag: str, tmp_path: Path) -> None:
    path, made = tmp_path / "config.yaml", tmp_path / "made"
    path.write_text("seed: " + tag.format(made) + "\n")
    with pytest.raises(MeiflowError, match=r"config\.yaml: not valid YAML"):
        load_config(path)
    assert not made.exists()


# Code may be named in a base model itself, in its feature maps, or in the first layer of a network.
NAMING = [
    {"kind": "custom", "spec": "stranger:build", "neuron": "7"},
    {"kind": "core_window", "maps": {"spec": "stranger:build"}},
    {"kind": "cnn", "maps": {"fixed_kind": "core_window", "fixed": {"spec": "stranger:build"}}},
]


@pytest.fixture(
    params=[[state] for state in NAMING] + [(NAMING[0],)],
    ids=[*(str(state["kind"]) for state in NAMING), "tuple"],
)
def stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """A folder with a module that creates a file when imported, and files that name it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stranger.py").write_text("open('made', 'w').close()\n")
    save_model(NeuronModel(SCREEN, 0.0, 0.0, [linear(np.ones((6, 8)))], [1.0]), "model.pt")
    model = torch.load("model.pt", weights_only=True)
    model["base_models"] = request.param
    write_document(model, "model.pt")
    write_archive(SCREEN, {"7": model}, lambda _: [model], tmp_path / "models.zip")
    return tmp_path


@pytest.mark.parametrize("custom", [None, "other:build"])
def test_a_model_that_names_a_module_does_not_have_it_imported(
    stranger: Path, custom: str | None
) -> None:
    archive = ModelArchive("models.zip", SCREEN, custom)
    kind = torch.load("model.pt", weights_only=True)["base_models"][0]["kind"]
    tries: list[Callable[[], Any]] = [
        lambda: load_model("model.pt", SCREEN, [custom]),
        lambda: archive.member("7", kind),
        lambda: archive.fold_models("7"),
    ]
    if custom is None:
        tries.append(lambda: archive.model("7"))
    for attempt in tries:
        with pytest.raises(MeiflowError, match="made with the code of stranger:build"):
            attempt()
    assert not Path("made").exists()
