from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from tests.media import conftest as made

from facewright.core.errors import DiskRefused, FileRefused
from facewright.media.writer import read_chunk, write_chunk

PTS = [5, 9, 1001, 40_000, 2**40]
BASE = Fraction(1, 30_000)


def noise(dtype: type, size: tuple[int, int] = (35, 67), seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, np.iinfo(dtype).max, (*size, 3), dtype=dtype, endpoint=True) for _ in PTS]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(35, 67), (48, 64), (1, 1)])
def test_round_trip_is_exact(tmp_path, dtype, size):
    images = noise(dtype, size)
    masks = [image[..., 0].astype(np.uint8) for image in images]
    write_chunk(tmp_path / "a.mkv", images, masks, PTS, BASE)
    for part, sent in (("image", images), ("mask", masks)):
        got = list(read_chunk(tmp_path / "a.mkv", part))
        assert [pts for pts, _ in got] == PTS
        for (_, array), original in zip(got, sent):
            assert array.dtype == original.dtype
            np.testing.assert_array_equal(array, original)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


def test_channel_order(tmp_path):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    for image in (red, red.astype(np.uint16) * 257):
        write_chunk(tmp_path / "a.mkv", [image], None, [0], BASE)
        ((_, got),) = read_chunk(tmp_path / "a.mkv")
        np.testing.assert_array_equal(got, image)


def test_float_masks_are_rounded(tmp_path):
    mask = np.linspace(-0.1, 1.1, 16 * 16, dtype=np.float32).reshape(16, 16)
    write_chunk(tmp_path / "a.mkv", [np.zeros((16, 16, 3), np.uint8)], [mask], [0], BASE)
    ((_, got),) = read_chunk(tmp_path / "a.mkv", "mask")
    np.testing.assert_array_equal(got, np.rint(np.clip(mask, 0, 1) * 255))


def test_without_masks(tmp_path):
    write_chunk(tmp_path / "a.mkv", noise(np.uint8), None, PTS, BASE)
    assert len(list(read_chunk(tmp_path / "a.mkv"))) == len(PTS)
    with pytest.raises(FileRefused, match="chunk"):
        list(read_chunk(tmp_path / "a.mkv", "mask"))


def test_views_and_generators_are_taken(tmp_path):
    big = noise(np.uint8, (70, 134))
    write_chunk(tmp_path / "a.mkv", (b[::2, ::-2] for b in big), None, iter(PTS), BASE)
    for (_, got), sent in zip(read_chunk(tmp_path / "a.mkv"), big):
        np.testing.assert_array_equal(got, sent[::2, ::-2])


@pytest.mark.parametrize("count", [4, 6])
def test_wrong_numbers_leave_nothing(tmp_path, count):
    with pytest.raises(ValueError, match=r"times|mask"):
        write_chunk(tmp_path / "a.mkv", noise(np.uint8), None, range(count), BASE)
    with pytest.raises(ValueError, match="mask"):
        write_chunk(tmp_path / "a.mkv", noise(np.uint8), [np.zeros((35, 67), np.uint8)], PTS, BASE)
    assert list(tmp_path.iterdir()) == []


def test_an_old_chunk_survives_a_failed_write(tmp_path):
    write_chunk(tmp_path / "a.mkv", noise(np.uint8), None, PTS, BASE)
    before = (tmp_path / "a.mkv").read_bytes()
    with pytest.raises(ValueError, match="times"):
        write_chunk(tmp_path / "a.mkv", noise(np.uint8, seed=1), None, [0], BASE)
    assert (tmp_path / "a.mkv").read_bytes() == before


def test_damage_is_found(tmp_path):
    path = tmp_path / "a.mkv"
    write_chunk(path, noise(np.uint8), None, PTS, BASE)
    whole = path.read_bytes()
    position, size = made.packet_places(path)[2]
    hurt = bytearray(whole)
    hurt[position + size // 2] ^= 0x40
    blank = bytearray(whole)
    blank[position + 8 : position + size] = bytes(size - 8)
    for data in (bytes(hurt), bytes(blank), whole[:-1], whole[: len(whole) // 2], whole[:10], b"", b"no chunk" * 50):
        path.write_bytes(data)
        with pytest.raises(FileRefused) as caught:
            list(read_chunk(path))
        assert caught.value.remedy
    with pytest.raises(FileRefused):
        list(read_chunk(tmp_path / "missing.mkv"))


def test_players_open_it(tmp_path):
    """The footer is a legal element: a chunk is also an ordinary film."""
    path = tmp_path / "a.mkv"
    write_chunk(path, noise(np.uint8), None, PTS, BASE)
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == len(PTS)


def test_unwritable(tmp_path):
    with pytest.raises(DiskRefused):
        write_chunk(tmp_path / "no folder" / "a.mkv", noise(np.uint8), None, PTS, BASE)
