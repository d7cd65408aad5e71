"""Folders of pictures and .npy stacks."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from meiflow.session.images import load_image_set, load_images
from tests.bad_input.catalogue import Case, named, refused

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:numpy")
GREY = np.random.default_rng(1).integers(0, 256, (8, 12), dtype=np.uint8)
SHAPE = (8, 12)


def saved(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, data: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG with any header and data, and valid checksums."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def transparent(mode: str) -> bytes:
    picture = Image.new(mode, (12, 8))
    picture.putalpha(Image.fromarray(GREY))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


GOOD = saved(GREY)
TIFF = saved(GREY, "TIFF")
PAGES = {"save_all": True, "append_images": [Image.fromarray(255 - GREY)]}
UNREADABLE = "is not a readable picture"
PICTURES = [
    Case("text.png", "not a picture", (UNREADABLE, "expected PNG, TIFF or JPEG")),
    Case("empty.png", b"", (UNREADABLE,)),
    Case("half.png", GOOD[: len(GOOD) // 2], (UNREADABLE,)),
    Case("signature alone.png", GOOD[:8], (UNREADABLE,)),
    Case("header alone.png", GOOD[:33], (UNREADABLE,)),
    Case("half.tiff", TIFF[: len(TIFF) // 2], (UNREADABLE,)),
    Case("header alone.tif", TIFF[:8], (UNREADABLE,)),
    Case("one byte changed.png", GOOD[:60] + bytes([GOOD[60] ^ 8]) + GOOD[61:], (UNREADABLE,)),
    Case("too little data.png", png(12, 8, b"\0" * 20), (UNREADABLE,)),
    Case("no pixels.png", png(0, 0, b""), (UNREADABLE,)),
    Case("60000 x 60000.png", png(60_000, 60_000, b"0"), ("has more than", "pixels")),
    Case("20000 x 5000.png", png(20_000, 5_000, b"0"), ("has more than", "pixels")),
    Case("GIF.png", saved(GREY, "GIF"), (UNREADABLE,)),
    Case("BMP.png", saved(GREY, "BMP"), (UNREADABLE,)),
    Case("EPS.png", saved(GREY, "EPS"), (UNREADABLE,)),
    Case("transparent grey.png", transparent("L"), ("partly transparent", "background")),
    Case("transparent colour.png", transparent("RGB"), ("partly transparent",)),
    Case("one transparent grey.png", saved(GREY, transparency=int(GREY[0, 0])), ("transparent",)),
    Case("one transparent 16-bit grey.png",
         saved(GREY.astype(np.uint16), transparency=int(GREY[0, 0])), ("transparent",)),
    Case("32 bit.tif", saved(GREY.astype(np.int32), "TIFF"), ("32-bit integers",)),
    Case("two pages.tif", saved(GREY, "TIFF", **PAGES), ("contains 2 pictures",)),
    Case("animated.png", saved(GREY, "PNG", **PAGES), ("contains 2 pictures",)),
    Case("white is 0.tif", saved(GREY.astype(np.uint16), "TIFF", tiffinfo={262: 0}),
         ("white as 0",)),
    Case("floats up to 255.tif", saved(GREY.astype(np.float32), "TIFF"), ("outside 0..1",)),
    Case("NaN.tif", saved(np.full(SHAPE, np.nan, np.float32), "TIFF"), ("not finite",)),
    Case("a pipe.png", os.mkfifo, ("is not a file (a pipe",)),
    Case("a folder.png", Path.mkdir, ("is a folder, not a file",)),
    Case("a link to nowhere.png", lambda p: p.symlink_to("nowhere"), ("does not exist",)),
    Case("another size.png", saved(GREY[:4]), ("all pictures must have the same size",)),
    Case("another size.tif", saved(GREY.T.copy(), "TIFF"), ("all pictures must have the same",)),
]  # fmt: skip


def header(text: str, body: bytes = bytes(96), version: bytes = b"\x01\x00") -> bytes:
    """An .npy file with any header."""
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text.encode() + body


def stack(array: Any) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        np.save(path, array, allow_pickle=True)

    return make


LIE = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n"
NPY = io.BytesIO()
np.save(NPY, np.stack([GREY, GREY]))
UNREAD = "not a readable .npy array"
STACKS = [
    Case("empty", b"", (UNREAD,)),
    Case("text", "0.5 0.5", (UNREAD,)),
    Case("cut in the header", NPY.getvalue()[:40], (UNREAD,)),
    Case("cut in the data", NPY.getvalue()[:-5], (UNREAD,)),
    Case("a petabyte", header(LIE.format("|u1", (1 << 20, 1 << 15, 1 << 15))), (UNREAD,)),
    Case("more than there are", header(LIE.format("<f8", (2**62, 2**62, 2))), (UNREAD,)),
    Case("a negative size", header(LIE.format("|u1", (-1, 8, 12))), (UNREAD,)),
    Case("a broken size", header(LIE.format("|u1", "(1.5, 8, 12)")), (UNREAD,)),
    Case("a header that is no mapping", header("[1, 2]\n"), (UNREAD,)),
    Case("a header that calls", header("__import__('os').system('touch x')\n"), (UNREAD,)),
    Case("a header of 60 kB", header("(" * 60_000), (UNREAD,)),
    Case("an unknown version", header(LIE.format("|u1", (1, 8, 12)), version=b"\x09\x00"),
         (UNREAD,)),
    Case("an unknown type", header(LIE.format("<q9", (1, 8, 12))), (UNREAD,)),
    Case("objects", stack(np.array([{}], dtype=object)), (UNREAD,)),
    Case("a pickle", pickle.dumps([1]), (UNREAD,)),
    Case("an archive", lambda p: np.savez(p.open("wb"), x=GREY), (".npz archive",)),
    Case("one image", stack(GREY), ("shape (8, 12); expected (frames, height, width)",)),
    Case("colour", stack(np.zeros((2, 8, 12, 3), np.uint8)), ("shape (2, 8, 12, 3)",)),
    Case("a number", stack(np.float64(3)), ("shape ()",)),
    Case("no frames", stack(np.zeros((0, 8, 12))), ("shape (0, 8, 12)",)),
    Case("no pixels", stack(np.zeros((2, 0, 12))), ("shape (2, 0, 12)",)),
    *[
        Case(f"of {np.dtype(kind)}", stack(np.ones((2, 8, 12)).astype(kind)), ("expected uint8",))
        for kind in ("i8", "i2", "u4", "?", "c16", "U3", "M8[s]")
    ],
    Case("records", stack(np.zeros((2, 8, 12), "u1,f4")), ("expected uint8",)),
    Case("NaN", stack(np.full((2, 8, 12), np.nan)), ("not finite",)),
    Case("infinity", stack(np.full((2, 8, 12), np.inf)), ("not finite",)),
    Case("1e300", stack(np.full((2, 8, 12), 1e300)), ("outside 0..1",)),
    Case("below 0", stack(np.full((2, 8, 12), -0.01)), ("outside 0..1",)),
    Case("up to 255", stack(np.stack([GREY, GREY]).astype(float)), ("outside 0..1",)),
    Case("a pipe", os.mkfifo, ("is not a file (a pipe",)),
]  # fmt: skip
NAMES = [
    Case("no number", lambda p: (p / "leaf.png").write_bytes(GOOD), ("no frame number",)),
    Case("twice the same number",
         lambda p: [(p / f"{n}.png").write_bytes(GOOD) for n in ("a1", "b01")], ("are both",)),
    Case("no picture", lambda p: (p / "notes.txt").write_text("x"), ("contains no .png",)),
    Case("nothing", lambda p: None, ("contains no .png",)),
    Case("hidden ones alone", lambda p: (p / ".0.png").write_bytes(GOOD), ("contains no .png",)),
]  # fmt: skip


@named(PICTURES)
def test_a_wrong_picture_is_explained(case: Case, tmp_path: Path, tried: Any) -> None:
    (tmp_path / "0.png").write_bytes(GOOD)
    path = tmp_path / case.name.replace(".", " 1.")
    case.write(path)
    refused(lambda: load_images(tmp_path, SHAPE), "session.images", path.name, *case.says)
    tried("pictures", case.name)


@named([case for case in PICTURES if "another size" not in case.name])
def test_a_wrong_picture_of_a_further_set_is_explained(case: Case, tmp_path: Path) -> None:
    case.write(tmp_path / case.name)
    key = "stimuli.natural_images"
    refused(lambda: load_image_set(tmp_path, SHAPE, key), key, case.name, *case.says)


@named(STACKS)
def test_a_wrong_stack_is_explained(case: Case, tmp_path: Path, tried: Any) -> None:
    path = case.write(tmp_path / "stack.npy")
    refused(lambda: load_images(path, SHAPE), "stack.npy", *case.says)
    refused(lambda: load_image_set(path, SHAPE, "stimuli.natural_images"), "stack.npy", *case.says)
    assert not Path("x").exists()
    tried("stacks", case.name)


@named(NAMES)
def test_a_wrong_folder_is_explained(case: Case, tmp_path: Path, tried: Any) -> None:
    case.write(tmp_path)
    refused(lambda: load_images(tmp_path, SHAPE), "session.images", str(tmp_path), *case.says)
    tried("picture folders", case.name)


WIDE = np.dstack([GREY.astype(np.uint16) * 257] * 3).astype(">u2")
SIXTEEN = b"".join(b"\0" + row.tobytes() for row in WIDE)
SAME = [
    Case("opaque colour and alpha.png", saved(np.dstack([GREY] * 3 + [np.full_like(GREY, 255)]))),
    Case("16 bit.png", saved(GREY.astype(np.uint16) * 257)),
    Case("16 bit.tif", saved(GREY.astype(np.uint16) * 257, "TIFF")),
    Case("16 bit colour.png", png(12, 8, SIXTEEN, 16, 2)),
    Case("8 bit, white is 0.tif", saved(GREY, "TIFF", tiffinfo={262: 0})),
    Case("floats.tif", saved((GREY / 255).astype(np.float32), "TIFF")),
    Case("capitals.PNG", GOOD),
]


@named(SAME)
def test_other_ways_to_save_it_give_the_same_luminance(case: Case, tmp_path: Path) -> None:
    case.write(tmp_path / case.name.replace(".", " 0."))
    np.testing.assert_allclose(load_images(tmp_path, SHAPE)[1][0], GREY / 255, atol=1e-6)


def test_the_other_byte_order_gives_the_same_luminance(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", (GREY[None].astype(np.uint16) * 257).astype(">u2"))
    np.testing.assert_allclose(load_images(tmp_path / "a.npy", SHAPE)[1][0], GREY / 255, atol=1e-6)


@pytest.mark.parametrize("name", ["x.txt", "x", "x.npz"])
def test_other_kinds_of_path(name: str, tmp_path: Path) -> None:
    refused(lambda: load_images(tmp_path / name, SHAPE), "neither a folder of pictures nor")
