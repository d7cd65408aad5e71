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
from collections.abc import Callable, Iterable, Iterator
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
    ``FOLDER / "w.pt"``, relative to the current folder or to the module's; of a path that is only
    known in part, such as ``f"weights/{neuron}.pt"``, the folder counts.

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
    """Existing files and folders whose paths are written in a module; no results."""
    constants = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    for node in ast.walk(tree):
        text, whole = _path_text(node, constants)
        if not text or len(text) > _LONGEST_PATH or not text.isprintable() or set(text) & set("{}"):
            continue
        for base in dict.fromkeys((Path(), folder)):
            try:
                path = base / text
                if not whole and not path.is_dir():
                    path = path.parent
                # byte code is written beside the modules
                if _is_input(path, whole) and os.path.realpath(path) != os.path.realpath(folder):
                    yield path
                    break
            except OSError:  # a name that is too long
                continue


def _is_input(path: Path, whole: bool) -> bool:
    """Whether it is a file, or a folder of which files are read, other than those of the run."""
    here, real = os.path.realpath("."), os.path.realpath(path)
    if "results" in path.parts or (here + os.sep).startswith(real.rstrip(os.sep) + os.sep):
        return False
    return path.is_file() if whole else path.is_dir()


Known = tuple[str | None, bool]
"""Text of a path, and whether it is the whole path or only its beginning."""


def _path_text(node: ast.AST, constants: dict[str, str]) -> Known:
    """Text of a path expression, as far as it is known.

    Of ``unknown / "name"`` the end counts as the whole path, relative to the module; of
    ``"folder" / unknown`` and of ``f"folder/{unknown}.pt"`` only the beginning is known.
    """
    match node:
        case ast.Constant(value=str(text)):
            return text, True
        case ast.Name(id=name) if name in constants:
            return constants[name], True
        case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
            return _path_text(value, constants)
        case ast.JoinedStr(values=values):
            return _joined("".join, [_path_text(one, constants) for one in values])
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined("".join, [_path_text(one, constants) for one in (left, right)])
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _joined(_in_folder, [_path_text(one, constants) for one in (left, right)])
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
            return text.partition("%")[0], False
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return text.partition("{")[0], False
        case ast.Call(args=[_, *_] as arguments):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else None
            called = node.func.id if isinstance(node.func, ast.Name) else called
            if called in ("Path", "join", "joinpath"):
                return _joined(_in_folder, [_path_text(one, constants) for one in arguments])
    return None, False


def _in_folder(parts: list[str]) -> str:
    return os.path.join(*parts)


def _joined(join: Callable[[list[str]], str], parts: list[Known]) -> Known:
    """Known beginning of parts; where the first is unknown, the known end of a path."""
    texts = [text for text, _ in parts]
    if all(text is not None and whole for text, whole in parts):
        return join([text for text in texts if text is not None]), True
    if texts[0] is None:
        known = [text for text in texts if text is not None]
        whole = join is _in_folder and bool(known) and texts[-len(known) :] == known
        return (join(known), True) if whole and parts[-1][1] else (None, False)
    number = next((i for i, (text, whole) in enumerate(parts) if text is None or not whole))
    start = [text for text in texts[: number + 1] if text is not None]
    return join(start), False
