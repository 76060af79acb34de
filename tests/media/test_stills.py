from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from facewright.core.errors import FileRefused, NothingFound
from facewright.media.frame import Frame
from facewright.media.reader import count_frames, frame_times, frames, open_video, read_still
from facewright.media.stills import encode_still, natural_key, write_stills


def scene(height: int = 40, width: int = 60) -> np.ndarray:
    """Smooth and unlike itself when turned or mirrored."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)]).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg", ".webp"])
def test_every_kind_of_picture(tmp_path, suffix):
    path = tmp_path / f"Ünï 雪{suffix.upper() if suffix == '.jpg' else suffix}"
    options = {"j": {"quality": 98, "subsampling": 0}, "w": {"lossless": True}}.get(suffix[1], {})
    Image.fromarray(scene()).save(path, **options)
    image = read_still(path)
    assert (image.shape, image.dtype) == ((40, 60, 3), np.uint8)
    assert np.abs(image.astype(int) - scene()).max() <= (6 if "j" in suffix else 0)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_is_kept(tmp_path, suffix):
    deep = (scene().astype(np.uint16) << 8) | 0x5A
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encode_still(deep, suffix))
    np.testing.assert_array_equal(read_still(path), deep)


def test_float_picture_is_refused(tmp_path):
    Image.fromarray(np.float32([[0, 0.5, 1, 2, -1]])).save(tmp_path / "a.tif")
    with pytest.raises(FileRefused):
        read_still(tmp_path / "a.tif")


def test_grey_palette_and_transparency_become_rgb(tmp_path):
    grey = scene()[..., 0]
    Image.fromarray(grey).save(tmp_path / "g.png")
    np.testing.assert_array_equal(read_still(tmp_path / "g.png"), np.dstack([grey] * 3))
    alpha = np.dstack([scene(), np.full((40, 60), 7, np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_still(tmp_path / "a.png"), scene())
    Image.fromarray(np.where(scene() > 127, 255, 0).astype(np.uint8)).quantize(8).save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_still(tmp_path / "p.png"), np.where(scene() > 127, 255, 0))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, suffix, orientation):
    transposes = Image.Transpose
    stored_from_upright = {
        1: [], 2: [transposes.FLIP_LEFT_RIGHT], 3: [transposes.ROTATE_180], 4: [transposes.FLIP_TOP_BOTTOM],
        5: [transposes.TRANSPOSE], 6: [transposes.ROTATE_90], 7: [transposes.TRANSVERSE], 8: [transposes.ROTATE_270],
    }[orientation]  # fmt: skip
    stored = Image.fromarray(scene())
    for step in stored_from_upright:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(tmp_path / f"a{suffix}", exif=exif, **({"quality": 97} if suffix == ".jpg" else {}))
    image = read_still(tmp_path / f"a{suffix}")
    assert image.shape == (40, 60, 3)
    assert np.abs(image.astype(int) - scene()).mean() <= (0 if suffix in (".png", ".tif") else 4)


def test_orientation_of_a_deep_tiff(tmp_path):
    stored = (scene()[..., 0].T[:, ::-1].astype(np.uint16)) * 257  # what orientation 8 turns upright again
    exif = Image.Exif()
    exif[274] = 8
    Image.fromarray(stored).save(tmp_path / "a.tif", exif=exif)
    np.testing.assert_array_equal(read_still(tmp_path / "a.tif")[..., 1], scene()[..., 0].astype(np.uint16) * 257)


def test_limits_are_checked_before_decoding(tmp_path):
    data = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(data, "PNG")
    (tmp_path / "bomb.png").write_bytes(data.getvalue())
    with pytest.raises(FileRefused, match="safely"):
        read_still(tmp_path / "bomb.png")
    data = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(data, "PNG")
    (tmp_path / "big.png").write_bytes(data.getvalue())
    with pytest.raises(FileRefused, match="safely"):
        read_still(tmp_path / "big.png")


def test_refused(tmp_path):
    whole = encode_still(scene())
    for name, data in (("a.png", b""), ("b.png", b"x" * 99), ("c.jpg", whole[:30]), ("d.png", b"GIF89a" + bytes(50))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FileRefused) as caught:
            read_still(tmp_path / name)
        assert caught.value.remedy
    with pytest.raises(FileRefused):
        read_still(tmp_path / "missing.png")


def test_a_folder_is_a_video_in_natural_order(tmp_path):
    for number in (10, 9, 1, 2, 100):
        (tmp_path / f"frame_{number}.png").write_bytes(encode_still(np.full((8, 12, 3), number, np.uint8)))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "sub.png").mkdir()
    video = open_video(tmp_path)
    assert (video.frame_count, count_frames(video), video.rate, video.size_px) == (5, 5, 25, (12, 8))
    assert video.stills == ("frame_1.png", "frame_2.png", "frame_9.png", "frame_10.png", "frame_100.png")
    found = list(frames(video))
    assert [int(f.image[0, 0, 0]) for f in found] == [1, 2, 9, 10, 100]
    assert [f.pts * f.time_base for f in found] == [Fraction(i, 25) for i in range(5)]
    assert frame_times(video).tolist() == [0, 1, 2, 3, 4]
    assert [f.index for f in frames(video, 1, 5, step=2)] == [1, 3]


def test_one_picture_is_a_video(tmp_path):
    (tmp_path / "a.png").write_bytes(encode_still(scene()))
    (tmp_path / "b.png").write_bytes(encode_still(scene()))
    video = open_video(tmp_path / "a.png")
    assert video.frame_count == 1
    np.testing.assert_array_equal(next(frames(video)).image, scene())


def test_damaged_pictures_are_told_and_passed_over(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(encode_still(scene()))
    (tmp_path / "0.png").write_bytes(b"broken")
    (tmp_path / "2.png").write_bytes(encode_still(scene())[:200])
    video, told = open_video(tmp_path), []
    found = [f.index for f in frames(video, on_damage=lambda index, text: told.append((index, text)))]
    assert found == [1, 3]
    assert [index for index, _ in told] == [0, 2]
    assert "2.png" in told[1][1]


def test_a_folder_of_films_says_so(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(NothingFound) as caught:
        open_video(tmp_path)
    assert "*.mp4" in caught.value.remedy


def test_empty_folder_and_all_broken(tmp_path):
    with pytest.raises(NothingFound):
        open_video(tmp_path)
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(NothingFound):
        open_video(tmp_path)


def test_digest_tells_content_and_names(tmp_path):
    (tmp_path / "a.png").write_bytes(encode_still(scene()))
    first = open_video(tmp_path).sha256
    assert open_video(tmp_path).sha256 == first
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    assert open_video(tmp_path).sha256 != first


def test_write_stills_round_trip(tmp_path):
    images = [scene(), scene()[::-1].copy()]
    count = write_stills(tmp_path / "out", [Frame(i + 7, i, Fraction(1, 25), im) for i, im in enumerate(images)])
    assert count == 2
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0000007.png", "0000008.png"]
    for frame, image in zip(frames(open_video(tmp_path / "out")), images):
        np.testing.assert_array_equal(frame.image, image)


def test_natural_key():
    assert sorted(["b10", "b9", "B1", "a", "10", "9"], key=natural_key) == ["9", "10", "a", "B1", "b9", "b10"]


def test_a_folder_of_folders_says_which_to_name(tmp_path):
    for name in ("a b", "c"):
        (tmp_path / "all" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "all" / name / "0.png")
    (tmp_path / "all" / "empty").mkdir()
    with pytest.raises(NothingFound) as caught:
        open_video(tmp_path / "all")
    assert f"'{tmp_path / 'all' / 'a b'}' and 1 more" in caught.value.remedy
