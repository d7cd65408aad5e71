"""Every file that a result comes from is found, and every change in one of them is noticed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from meiflow.io import tracking
from meiflow.io.tracking import code_files, fingerprint


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, text: str = "") -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def found(spec: str) -> set[str]:
    return {path.as_posix() for path in code_files(spec)}


def test_modules_that_a_module_imports_are_its_files(here):
    write("mine.py", "import layers\nfrom nets.core import Core\nimport torch, numpy as np\n")
    write("layers.py", "def f():\n    from helpers import deep\n")
    write("helpers/deep.py")
    write("nets/__init__.py")
    write("nets/core.py", "from . import blocks\nfrom .more.last import x\nfrom .. import up\n")
    write("nets/blocks.py", "import mine")
    write("nets/more/__init__.py", "from .other import *")
    write("nets/more/other.py")
    write("nets/more/last.py")
    write("unused.py")
    assert found("mine:build") == {
        *("mine.py", "layers.py", "helpers/deep.py", "nets/__init__.py", "nets/core.py"),
        *("nets/blocks.py", "nets/more/__init__.py", "nets/more/other.py", "nets/more/last.py"),
    }
    assert found("nets.more.last:f") == {
        *("nets/__init__.py", "nets/more/__init__.py", "nets/more/other.py", "nets/more/last.py"),
    }


@pytest.mark.parametrize(
    "code",
    [
        "torch.load('weights/w.pt')",
        "torch.load(Path('weights') / 'w.pt')",
        "torch.load(os.path.join('weights', 'w.pt'))",
        "torch.load(Path(__file__).parent / 'weights' / 'w.pt')",
        "torch.load(os.path.join(HERE, 'weights', 'w.pt'))",
        "FOLDER = 'weights'\ntorch.load(FOLDER + '/w.pt')",
        "def build(neuron, path='weights/w.pt'):\n    return torch.load(path)",
        "NAME = 'w.pt'\ntorch.load(Path('weights', NAME))",
    ],
)
def test_files_whose_paths_are_written_in_a_module_are_its_files(here, code):
    write("weights/w.pt", "numbers")
    write("mine.py", f'"""A model."""\n{code}\n')
    assert found("mine:build") == {"mine.py", "weights/w.pt"}


@pytest.mark.parametrize(
    "code",
    [
        "torch.load(f'weights/{neuron}.pt')",
        "torch.load(f'weights/unit_{neuron}.pt')",
        "torch.load('weights/' + neuron + '.pt')",
        "torch.load('weights/%s.pt' % neuron)",
        "torch.load('weights/{}.pt'.format(neuron))",
        "torch.load(Path('weights') / f'{neuron}.pt')",
        "torch.load(os.path.join('weights', neuron))",
        "FOLDER = 'weights'\ntorch.load(f'{FOLDER}/{neuron}.pt')",
    ],
)
def test_the_folder_of_files_named_by_neuron_counts(here, code):
    write("weights/7.pt", "numbers")
    write("mine.py", code)
    assert found("mine:build") == {"mine.py", "weights"}
    first = fingerprint(code_files("mine:build"))
    write("weights/7.pt", "other numbers")
    assert fingerprint(code_files("mine:build")) != first


@pytest.mark.parametrize("code", ["f'{x}/w.pt'", "f'./{x}'", "'/' + x", "f'../{x}'", "x + 'w'"])
def test_this_folder_and_those_above_are_no_inputs(here, code):
    write("project/nets/mine.py", code)
    os.chdir("project")
    assert found("nets.mine:build") == {"nets/mine.py"}


def test_files_beside_the_module_are_found_from_any_folder(here):
    write("nets/core.py", "torch.load(Path(__file__).with_name('w.pt'))")
    write("nets/w.pt")
    assert found("nets.core:build") == {"nets/core.py", "nets/w.pt"}


def test_results_folders_and_long_texts_are_no_files_of_code(here):
    write("results/demo/images.npy")
    write("pictures/1.png")
    write("{x}.pt")
    text = f"'results/demo/images.npy', 'pictures', '.', '', '{'x' * 5000}', '{{x}}.pt', 'a\\0b'"
    write("mine.py", f"x = [{text}]")
    assert found("mine:build") == {"mine.py"}


def test_modules_on_the_path_count_and_installed_ones_do_not(here, monkeypatch):
    write("elsewhere/shared_layers.py")
    write("project/mine.py", "import shared_layers, torch, json, meiflow.images.geometry")
    monkeypatch.chdir(here / "project")
    monkeypatch.setattr(sys, "path", [str(here / "elsewhere"), *sys.path])
    assert found("mine:build") == {"mine.py", str(here / "elsewhere" / "shared_layers.py")}


def test_a_broken_or_missing_module_is_left_to_whoever_imports_it(here):
    write("broken.py", "def (")
    assert found("broken:build") == {"broken.py"}
    assert found("nowhere:build") == set()
    assert code_files(None) == []


@pytest.mark.parametrize("largest", [tracking._BY_CONTENT, 0])
def test_every_change_in_a_file_or_folder_changes_the_fingerprint(here, monkeypatch, largest):
    monkeypatch.setattr(tracking, "_BY_CONTENT", largest)
    picture, notes = write("pics/003.png", "a"), write("pics/notes.txt", "x")
    write("pics/deeper/004.png", "b")
    states = [fingerprint(["pics"], (".png",))]
    notes.write_text("not a picture")
    write("pics/.hidden.png")
    assert fingerprint(["pics"], (".png",)) == states[0]
    times = picture.stat()
    picture.write_text("c")
    os.utime(picture, ns=(times.st_atime_ns, times.st_mtime_ns - 10**12))  # an older file
    states.append(fingerprint(["pics"], (".png",)))
    write("pics/005.png")
    states.append(fingerprint(["pics"], (".png",)))
    (here / "pics" / "005.png").rename(here / "pics" / "006.png")
    states.append(fingerprint(["pics"], (".png",)))
    states.append(fingerprint(["pics", "none"], (".png",)))
    assert len(set(states)) == len(states)
    everything = fingerprint(["pics"])
    write("pics/deeper/004.png", "changed")
    assert fingerprint(["pics"]) != everything


def test_a_copy_with_other_times_is_the_same_input(here):
    file = write("w.pt", "numbers")
    first = fingerprint([file])
    os.utime(file, (1, 1))
    assert fingerprint([file]) == first
