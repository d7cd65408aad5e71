import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from meiflow.errors import MeiflowError
from meiflow.session.images import load_image_set, load_images, resize


def picture(path, value, size=(12, 8), mode="L"):
    Image.fromarray(np.full((size[1], size[0]), value, np.uint8)).convert(mode).save(path)


def test_order_is_by_number_not_by_name(tmp_path):
    for number in (10, 2, 0, 117):
        picture(tmp_path / f"scene_{number}.png", 2 * number)
    (tmp_path / "notes.txt").write_text("ignored")
    picture(tmp_path / "3.jpg", 9)  # another kind of file is not a frame
    numbers, images = load_images(tmp_path, (4, 6))
    assert numbers.tolist() == [0, 2, 10, 117]
    np.testing.assert_allclose(images[:, 0, 0], np.array([0, 4, 20, 234]) / 255, atol=1e-6)


def test_only_wanted_frames_are_read_and_missing_ones_named(tmp_path):
    for number in range(4):
        picture(tmp_path / f"{number}.png", number)
    (tmp_path / "99.png").write_text("not a picture, but not wanted either")
    assert load_images(tmp_path, (4, 6), [2, 0])[0].tolist() == [0, 2]
    with pytest.raises(MeiflowError, match="lacks frame 7"):
        load_images(tmp_path, (4, 6), [0, 7])
    with pytest.raises(MeiflowError, match=r"99.png is not a readable picture"):
        load_images(tmp_path, (4, 6), [99])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "1"])
def test_colour_modes_become_luminance(tmp_path, mode):
    picture(tmp_path / "0.png", 255, mode=mode)
    assert load_images(tmp_path, (4, 6))[1].mean() == pytest.approx(1.0)


def test_sixteen_bit_pictures(tmp_path):
    Image.fromarray(np.full((8, 12), 32768, np.uint16)).save(tmp_path / "0.tiff")
    assert load_images(tmp_path, (4, 6))[1].mean() == pytest.approx(0.5, abs=1e-4)


def test_ambiguous_and_nameless_frames(tmp_path):
    picture(tmp_path / "a7.png", 1)
    picture(tmp_path / "b007.png", 1)
    with pytest.raises(MeiflowError, match="are both frame 7"):
        load_images(tmp_path, (4, 6))
    (tmp_path / "b007.png").rename(tmp_path / "leaf.png")
    with pytest.raises(MeiflowError, match="no frame number"):
        load_images(tmp_path, (4, 6))


def test_empty_folder_and_wrong_kind_of_path(tmp_path):
    with pytest.raises(MeiflowError, match="contains no"):
        load_images(tmp_path, (4, 6))
    with pytest.raises(MeiflowError, match="neither a folder"):
        load_images(tmp_path / "x.txt", (4, 6))


def test_stacks(tmp_path, rng):
    bytes_ = rng.integers(0, 256, (3, 8, 12), dtype=np.uint8)
    np.save(tmp_path / "u8.npy", bytes_)
    np.save(tmp_path / "f.npy", bytes_ / 255)
    one, two = (load_images(tmp_path / n, (8, 12))[1] for n in ("u8.npy", "f.npy"))
    np.testing.assert_allclose(one, two, atol=1e-6)
    np.save(tmp_path / "big.npy", bytes_.astype(float))
    with pytest.raises(MeiflowError, match=r"outside 0..1"):
        load_images(tmp_path / "big.npy", (8, 12))
    np.save(tmp_path / "flat.npy", bytes_[0])
    with pytest.raises(MeiflowError, match="shape"):
        load_images(tmp_path / "flat.npy", (8, 12))
    np.save(tmp_path / "int.npy", bytes_.astype(int))
    with pytest.raises(MeiflowError, match="int64"):
        load_images(tmp_path / "int.npy", (8, 12))
    np.save(tmp_path / "evil.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(MeiflowError, match="not a readable"):
        load_images(tmp_path / "evil.npy", (8, 12))


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 40), st.integers(4, 40), st.integers(2, 20), st.integers(2, 20))
def test_resize_keeps_the_mean_and_constants(h, w, nh, nw):
    image = np.random.default_rng(h * w).uniform(size=(1, h, w))
    out = resize(image, (nh, nw))
    assert out.shape == (1, nh, nw)
    assert out.mean() == pytest.approx(image.mean(), abs=1e-5)
    np.testing.assert_allclose(resize(np.full((1, h, w), 0.3), (nh, nw)), 0.3, atol=1e-6)


def test_resize_by_a_whole_factor_is_block_averaging(rng):
    image = rng.uniform(size=(2, 12, 20))
    blocks = image.reshape(2, 6, 2, 5, 4).mean((2, 4))
    np.testing.assert_allclose(resize(image, (6, 5)), blocks, atol=1e-6)


def test_float_pictures_are_read_or_refused(tmp_path):
    Image.fromarray(np.full((8, 12), 0.25, np.float32)).save(tmp_path / "0.tiff")
    assert load_images(tmp_path, (4, 6))[1].mean() == pytest.approx(0.25)
    Image.fromarray(np.full((8, 12), 25.0, np.float32)).save(tmp_path / "0.tiff")
    with pytest.raises(MeiflowError, match=r"outside 0\.\.1"):
        load_images(tmp_path, (4, 6))


def test_one_size_for_all_and_no_holes(tmp_path):
    picture(tmp_path / "0.png", 9)
    picture(tmp_path / "1.png", 9, size=(10, 90))
    with pytest.raises(MeiflowError, match="all pictures must have the same size"):
        load_images(tmp_path, (4, 6))
    Image.new("RGBA", (12, 8), (9, 9, 9, 0)).save(tmp_path / "1.png")
    with pytest.raises(MeiflowError, match="partly transparent"):
        load_images(tmp_path, (4, 6))


# EXIF orientation -> how the stored pixels are turned so that the picture is upright
ORIENTATIONS = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_pictures_are_turned_as_their_exif_orientation_says(tmp_path, suffix, orientation):
    stored = np.kron(np.arange(12).reshape(3, 4) * 20, np.ones((8, 8))).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(stored).save(tmp_path / f"0.{suffix}", exif=exif, quality=95)
    upright = ORIENTATIONS[orientation](stored) / 255
    shown = load_image_set(tmp_path, upright.shape, "stimuli.natural_images")[1][0]
    np.testing.assert_allclose(shown, upright, atol=0.02)
    if suffix != "jpg":
        np.testing.assert_allclose(load_images(tmp_path, upright.shape)[1][0], shown, atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_pictures_of_sixteen_bits_are_turned_too(tmp_path, suffix):
    stored = (np.arange(96).reshape(8, 12) * 600).astype(np.uint16)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(stored).save(tmp_path / f"0.{suffix}", exif=exif)
    shown = load_images(tmp_path, (12, 8))[1][0]
    np.testing.assert_allclose(shown, np.rot90(stored, -1) / 65535, atol=1e-6)


def test_a_turned_picture_among_upright_ones_has_another_size(tmp_path):
    picture(tmp_path / "0.png", 10)
    exif = Image.Exif()
    exif[274] = 8
    Image.fromarray(np.full((8, 12), 10, np.uint8)).save(tmp_path / "1.png", exif=exif)
    with pytest.raises(MeiflowError, match=r"0\.png has 12 x 8 pixels but 1\.png has 8 x 12"):
        load_images(tmp_path, (4, 6))
