"""Which files a result comes from, and whether they have changed.

Snakemake compares the times of inputs, and of a folder only its own: a file that is overwritten in
a folder, or replaced by an older one, goes unnoticed. The rules therefore have a hash of their
inputs as a parameter. Of custom code, the local modules that it imports and the files that it names
are inputs as well.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

# Up to this size, files are compared by content, beyond it by size and time.
_BY_CONTENT = 100_000_000
_LONGEST_PATH = 1024


def fingerprint(paths: Iterable[str | Path], suffixes: tuple[str, ...] = ()) -> str:
    """Hash that changes with the content of files and folders.

    Parameters
    ----------
    paths : iterable of path
        Files or folders; those of more than 100 MB are represented by sizes and times. A missing
        one is not an error here.
    suffixes : tuple of str
        Endings of the files that count in folders; by default all, also in subfolders. Hidden
        files never count.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     picture = Path(folder, "3.png")
    ...     _ = picture.write_bytes(b"a")
    ...     first = fingerprint([folder], (".png",))
    ...     _ = Path(folder, "notes.txt").write_text("more")
    ...     second = fingerprint([folder], (".png",))
    ...     _ = picture.write_bytes(b"b")
    ...     third = fingerprint([folder], (".png",))
    >>> first == second, first == third
    (True, False)
    """
    digest = hashlib.sha256()
    for path in map(Path, paths):
        files = _files_in(path, suffixes) if path.is_dir() else [path]
        sizes = [file.stat().st_size if file.is_file() else 0 for file in files]
        by_content = sum(sizes) <= _BY_CONTENT
        for file in files:
            digest.update(f"{file}\0{_state(file, by_content)}\n".encode())
    return digest.hexdigest()[:16]


def _files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    found = folder.iterdir() if suffixes else folder.rglob("*")
    return sorted(
        path
        for path in found
        if not path.name.startswith(".")
        and "__pycache__" not in path.parts
        and (not suffixes or path.suffix.lower() in suffixes)
        and path.is_file()
    )


def _state(file: Path, by_content: bool) -> str:
    try:
        if by_content and file.is_file():
            with file.open("rb") as handle:
                return hashlib.file_digest(handle, "sha256").hexdigest()
        state = file.stat()
        return f"{state.st_size} {state.st_mtime_ns}"
    except OSError:
        return "missing"  # reported by whoever reads it


def code_files(spec: str | None) -> list[Path]:
    """Files of custom code: its module, the local modules that it imports, the files they name.

    Local modules are those in the current folder, or in a folder of PYTHONPATH. Files are found
    where their path is written in the code, such as ``torch.load("weights/w.pt")`` or
    ``FOLDER / "w.pt"``, relative to the current folder or to the module's.

    Parameters
    ----------
    spec : str, optional
        ``module:function``; None has no files.
    """
    if not spec:
        return []
    roots = list(_local_roots())
    waiting = [spec.partition(":")[0]]
    seen: set[str] = set()
    found: dict[Path, None] = {}
    while waiting:
        name = waiting.pop(0)
        if name in seen or name.partition(".")[0] == "meiflow":
            continue
        seen.add(name)
        for part, path in _modules(name, roots):
            if path in found:
                continue
            found[path] = None
            tree = _parsed(path)
            waiting += _imports(tree, part, path.name == "__init__.py")
            found |= dict.fromkeys(_named_files(tree, path.parent))
    return list(found)


def _local_roots() -> Iterator[Path]:
    """Folders from which custom modules are imported, without Python's and installed packages."""
    yield Path()
    paths = sysconfig.get_paths()
    installed = {os.path.realpath(paths[key]) for key in ("stdlib", "platstdlib")}
    installed |= {os.path.realpath(paths[key]) for key in ("purelib", "platlib", "scripts")}
    here = os.path.realpath(".")
    for text in dict.fromkeys(sys.path):
        real = os.path.realpath(text)
        inside = any(real == one or real.startswith(one + os.sep) for one in installed)
        if os.path.isdir(real) and not inside and real != here:
            yield Path(text)


def _modules(name: str, roots: list[Path]) -> list[tuple[str, Path]]:
    """The files that ``import name`` runs, each with the name of its module."""
    parts = name.split(".")
    for root in roots:
        found: list[tuple[str, Path]] = []
        folder = root
        for i, part in enumerate(parts):
            package = folder / part
            own = ".".join(parts[: i + 1])
            files = [package / "__init__.py", folder / f"{part}.py", *folder.glob(f"{part}.*.so")]
            found += [(own, file) for file in files if file.is_file()][:1]
            folder = package
        if found:
            return found
    return []


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return ast.Module([], [])  # a compiled module, or one that fails when it is imported


def _imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[str]:
    """Names that may be modules, of all imports anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above: list[str] = []
            if node.level:
                parts = module.split(".")
                above = parts[: len(parts) - node.level + is_package]
            name = ".".join([*above, *([node.module] if node.module else [])])
            if name:
                yield name
            yield from (".".join(filter(None, (name, alias.name))) for alias in node.names)


def _named_files(tree: ast.Module, folder: Path) -> Iterator[Path]:
    """Existing files whose paths are written in a module; no results, which rules declare."""
    constants = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    for node in ast.walk(tree):
        text = _path_text(node, constants)
        if not text or len(text) > _LONGEST_PATH or not text.isprintable() or set(text) & set("{}"):
            continue
        for path in dict.fromkeys((Path(text), folder / text)):
            try:
                if path.is_file() and "results" not in path.parts:
                    yield path
                    break
            except OSError:  # a name that is too long
                continue


def _path_text(node: ast.AST, constants: dict[str, str]) -> str | None:
    """Text of a path expression; of ``unknown / "name"`` the known end."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return constants.get(name)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            end = _path_text(right, constants)
            start = _path_text(left, constants)
            return end if end is None or start is None else os.path.join(start, end)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            texts = _path_text(left, constants), _path_text(right, constants)
            return None if None in texts else "".join(filter(None, texts))
        case ast.Call(args=[_, *_] as arguments):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else None
            called = node.func.id if isinstance(node.func, ast.Name) else called
            parts = [_path_text(one, constants) for one in arguments]
            known = [part for part in parts if part is not None]
            # of join(unknown, "name") the known end
            if called in ("Path", "join", "joinpath") and known == parts[-len(known) :]:
                return os.path.join(*known)
    return None
