from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.media import conftest as made
from tests.media.conftest import NTSC, Clip

from facewright.core.errors import DiskRefused, SettingRefused
from facewright.media.frame import ColourTags, Timecode, Video
from facewright.media.reader import frame_times, frames, open_video
from facewright.media.writer import ENCODERS, FilmWriter

VIDEO_NAMES = [p.name for p in ENCODERS if ENCODERS.load(p.name).suffixes]
EVERY = [(name, suffix) for name in VIDEO_NAMES for suffix in ENCODERS.load(name).suffixes]


def like(
    size: tuple[int, int] = (256, 128), *, rate: Fraction = NTSC, base: Fraction = 1 / NTSC, bits: int = 8,
    tags: ColourTags | None = None, **more: object,
) -> Video:
    return Video(
        Path("source.mp4"), "0" * 64, 0, size, rate, None, None, 0, bits, tags or ColourTags(1, 1, 1), time_base=base,
        **more,
    )


def write(path: Path, source: Video, pts: list[int], *, deep: bool = False, **options: object) -> FilmWriter:
    with FilmWriter(path, source, **options) as film:
        for index, time in enumerate(pts):
            image = made.picture(index, film.size_px)
            film.write(image.astype(np.uint16) * 257 if deep else image, time)
    return film


def broken(path: Path, encoder: str) -> None:
    """Writing that fails half-way for a reason of the caller's."""
    with FilmWriter(path, like(), encoder=encoder) as film:
        film.write(made.picture(0, film.size_px), 0)
        raise KeyError


def seconds(path: Path) -> list[Fraction]:
    video = open_video(path)
    return [int(p) * video.time_base for p in frame_times(video)]


@pytest.mark.parametrize(("name", "suffix"), EVERY)
class TestEveryEncoder:
    """The contract: a film written with any preset is the film that was given."""

    def test_count_times_size_rate_colour(self, tmp_path, name, suffix):
        path = tmp_path / f"a{suffix}"
        source = like()
        write(path, source, list(range(12)), encoder=name, crf=6)
        video = open_video(path)
        assert (video.frame_count, video.size_px, video.rate, video.variable_rate) == (12, (256, 128), NTSC, False)
        tolerance = 0 if suffix in (".mp4", ".mov") else 0.0006
        assert [float(t) for t in seconds(path)] == pytest.approx([float(i / NTSC) for i in range(12)], abs=tolerance)
        for frame in frames(video, on_damage=pytest.fail):
            assert made.named_index(frame.image) == frame.index * 5 % 6
            assert made.patch_error(frame.image) <= 3
        assert [p.name for p in tmp_path.iterdir()] == [path.name]

    def test_variable_rate(self, tmp_path, name, suffix):
        if suffix == ".mxf":
            pytest.skip("MXF has constant rates only")
        path, pts = tmp_path / f"a{suffix}", [600, 3000, 9000, 9500, 21000, 22500, 40000, 41000]
        source = like(base=Fraction(1, 90_000), rate=Fraction(15), variable_rate=True)
        write(path, source, pts, encoder=name)
        tolerance = 0 if suffix in (".mp4", ".mov") else 0.0006
        assert [float(t) for t in seconds(path)] == pytest.approx([p / 90_000 for p in pts], abs=tolerance)


@pytest.mark.parametrize("name", VIDEO_NAMES)
@pytest.mark.parametrize("size", [(257, 129), (256, 129), (257, 128)])
def test_odd_sizes_stay_exact_or_are_refused(tmp_path, name, size):
    path = tmp_path / f"a{ENCODERS.load(name).suffixes[0]}"
    if name == "dnxhr-hqx":
        with pytest.raises(SettingRefused, match=r"257|129"):
            write(path, like(size), [0], encoder=name)
        return
    film = write(path, like(size), [0, 1], encoder=name, crf=6)
    video = open_video(path)
    assert video.size_px == size
    assert made.patch_error(next(frames(video)).image) <= 3
    if name in ("h264", "h265", "vp9"):
        assert "4:4:4" in " ".join(film.notes)


@pytest.mark.parametrize("name", VIDEO_NAMES)
@pytest.mark.parametrize("tags", [ColourTags(), ColourTags(5, 6, 5), ColourTags(9, 14, 9), ColourTags(1, 1, 1, True)])
@pytest.mark.parametrize("deep", [False, True])
def test_colour_tags_and_depth(tmp_path, name, tags, deep):
    path, preset = tmp_path / f"a{ENCODERS.load(name).suffixes[0]}", ENCODERS.load(name)
    film = write(path, like(bits=10 if deep else 8, tags=tags), [0, 1], deep=deep, encoder=name, crf=6)
    video = open_video(path)
    frame = next(frames(video))
    assert made.patch_error(frame.image) <= (3 if frame.image.dtype == np.uint8 else 1.5)
    if preset.pixels.startswith("yuv") and name not in ("dnxhr-hqx",):
        same = {5: 6, 2: 6}  # 5 and 6 are the two names of BT.601; untagged SD is BT.601
        assert same.get(video.colour.matrix, video.colour.matrix) == same.get(tags.matrix, tags.matrix)
        assert video.colour.full_range == (tags.full_range and preset.full_range)
    if name.startswith("h26"):
        assert (video.colour.primaries, video.colour.transfer) == (tags.primaries, tags.transfer)
    if deep:
        assert preset.deep == (frame.image.dtype == np.uint16)
        assert preset.deep != any("keeps 8" in note for note in film.notes)


def test_ffv1_is_lossless(tmp_path):
    rng = np.random.default_rng(0)
    for dtype, bits in ((np.uint8, 8), (np.uint16, 16)):
        images = [rng.integers(0, np.iinfo(dtype).max, (48, 64, 3), dtype, endpoint=True) for _ in range(3)]
        path = tmp_path / f"{bits}.mkv"
        with FilmWriter(path, like((64, 48), bits=bits), encoder="ffv1") as film:
            for index, image in enumerate(images):
                film.write(image, index)
        for frame, image in zip(frames(open_video(path)), images, strict=True):
            np.testing.assert_array_equal(frame.image, image)


def test_a_decoded_film_comes_back_as_it_was(make_clip, tmp_path):
    """Passing through costs a codec's rounding, not light: no bias."""
    source = open_video(make_clip(Clip("pass.mkv", "ffv1", "yuv420p", size=(256, 128))))
    path = tmp_path / "a.mp4"
    with FilmWriter(path, source, crf=1) as film:
        before = [f.image for f in frames(source)]
        for index, image in enumerate(before):
            film.write(image, int(frame_times(source)[index]))
    after = np.stack([f.image for f in frames(open_video(path))]).astype(float)
    assert abs((after - np.stack(before)).mean()) < 0.1


def test_every_source_time_survives(make_clip, tmp_path):
    for name in ("t.ts", "t.mkv", "t.mp4"):
        source = open_video(make_clip(Clip(name, "libx264", "yuv420p")))
        path = tmp_path / f"{name}.mp4"
        with FilmWriter(path, source) as film:
            for frame in frames(source):
                film.write(frame.image, frame.pts)
        assert seconds(path) == [int(p) * source.time_base for p in frame_times(source)]
        assert open_video(path).rate == source.rate


def test_upright_output_of_a_turned_source(make_clip, tmp_path):
    source = open_video(make_clip(Clip("turned.mp4", "libx264", "yuv444p"), count=3, rotation=(90, False)))
    path = tmp_path / "a.mp4"
    with FilmWriter(path, source, crf=4) as film:
        for frame in frames(source):
            film.write(frame.image, frame.pts)
    video = open_video(path)
    assert (video.size_px, video.rotation_deg) == (source.size_px, 0)


@pytest.mark.parametrize(("name", "suffix"), [("h264", ".mp4"), ("prores-hq", ".mov"), ("h264", ".mkv")])
def test_timecode_and_pixel_aspect(tmp_path, name, suffix):
    source = like(rate=Fraction(25), base=Fraction(1, 25), timecode=Timecode("01:02:03:04", Fraction(25)),
                  pixel_aspect=Fraction(16, 15))  # fmt: skip
    write(tmp_path / f"a{suffix}", source, [0, 1, 2], encoder=name)
    video = open_video(tmp_path / f"a{suffix}")
    assert video.timecode.text == "01:02:03:04"
    assert video.pixel_aspect == Fraction(16, 15)


@pytest.mark.parametrize("name", ["png", "tiff"])
def test_a_folder_of_pictures(tmp_path, name):
    write(tmp_path / "out", like(), [0, 1, 2], encoder=name)
    video = open_video(tmp_path / "out")
    assert video.frame_count == 3
    for frame in frames(video):
        np.testing.assert_array_equal(frame.image, made.picture(frame.index, (256, 128)))
    with pytest.raises(DiskRefused, match="already"):
        write(tmp_path / "out", like(), [0], encoder=name)
    with pytest.raises(KeyError):
        broken(tmp_path / "broken", name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


class TestNothingBrokenIsLeft:
    def test_an_error_in_the_block(self, tmp_path):
        with pytest.raises(KeyError):
            broken(tmp_path / "a.mp4", "h264")
        assert list(tmp_path.iterdir()) == []

    def test_the_old_film_stays(self, tmp_path):
        write(tmp_path / "a.mp4", like(), [0, 1])
        before = (tmp_path / "a.mp4").read_bytes()
        with pytest.raises(KeyError):
            broken(tmp_path / "a.mp4", "h264")
        assert (tmp_path / "a.mp4").read_bytes() == before
        write(tmp_path / "a.mp4", like(), [0, 1, 2])
        assert open_video(tmp_path / "a.mp4").frame_count == 3

    def test_no_frame_at_all(self, tmp_path):
        with FilmWriter(tmp_path / "a.mp4", like()):
            pass
        # an empty film is a valid file; whoever opens it is told that it holds nothing
        assert (tmp_path / "a.mp4").exists()

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
    def test_unwritable_folder(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(DiskRefused):
            write(tmp_path / "a.mp4", like(), [0])

    def test_a_file_where_a_folder_should_be(self, tmp_path):
        (tmp_path / "x").write_text("a file")
        with pytest.raises(DiskRefused):
            write(tmp_path / "x" / "a.mp4", like(), [0])

    @pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX")
    @pytest.mark.parametrize("target", ["a.mp4", "a.mkv", "stills", "chunk.mkv"])
    @pytest.mark.parametrize("limit", [20_000, 60_000])
    def test_full_disk(self, tmp_path, target, limit):
        """A file size limit stands for a full disk: the same errors at the same places."""
        script = f"""
import resource, sys
import numpy as np
from fractions import Fraction
from pathlib import Path
from facewright.core.errors import DiskRefused
from facewright.media.frame import ColourTags, Video
from facewright.media.writer import FilmWriter, write_chunk
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
path = Path(sys.argv[1])
rng = np.random.default_rng(0)
images = [rng.integers(0, 256, (120, 160, 3), dtype=np.uint8) for _ in range(30)]
like = Video(path, "", 0, (160, 120), Fraction(25), None, None, 0, 8, ColourTags(), time_base=Fraction(1, 25))
try:
    if path.name == "chunk.mkv":
        write_chunk(path, images, None, range(30), Fraction(1, 25))
    else:
        with FilmWriter(path, like, encoder="png" if path.name == "stills" else "h264", crf=5) as film:
            for index, image in enumerate(images):
                film.write(image, index)
except DiskRefused as error:
    assert error.remedy
    sys.exit(7)
"""
        if target == "stills" and limit == 60_000:
            pytest.skip("each picture is smaller than that")
        command = [sys.executable, "-c", script, str(tmp_path / target)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 7, done.stderr
        assert list(tmp_path.iterdir()) == []


class TestRefusals:
    def test_unknown_encoder(self, tmp_path):
        with pytest.raises(SettingRefused, match="no encoder"):
            FilmWriter(tmp_path / "a.mp4", like(), encoder="h263")

    @pytest.mark.parametrize(
        ("name", "file"), [("prores-hq", "a.mp4"), ("vp9", "a.mov"), ("h264", "a"), ("ffv1", "a.mp4")]
    )
    def test_wrong_container(self, tmp_path, name, file):
        with pytest.raises(SettingRefused) as caught:
            FilmWriter(tmp_path / file, like(), encoder=name)
        assert ENCODERS.load(name).suffixes[0] in caught.value.remedy

    def test_misuse_is_loud(self, tmp_path):
        with pytest.raises(RuntimeError):
            FilmWriter(tmp_path / "a.mp4", like()).write(made.picture(0, (256, 128)), 0)
        for image in (np.zeros((128, 255, 3), np.uint8), np.zeros((128, 256, 3), np.float32)):
            with pytest.raises(ValueError, match="picture is"), FilmWriter(tmp_path / "a.mp4", like()) as film:
                film.write(image, 0)
        with pytest.raises(ValueError, match="follows"):
            write(tmp_path / "a.mp4", like(), [5, 5])


def test_another_size(tmp_path):
    write(tmp_path / "a.mp4", like(), [0], size_px=(64, 48))
    assert open_video(tmp_path / "a.mp4").size_px == (64, 48)


def test_stills_as_source(tmp_path):
    write(tmp_path / "pictures", like(), [0, 1, 2], encoder="png")
    source = open_video(tmp_path / "pictures")
    with FilmWriter(tmp_path / "a.mp4", source, crf=6) as film:
        for frame in frames(source):
            film.write(frame.image, frame.pts)
    video = open_video(tmp_path / "a.mp4")
    assert (video.rate, video.frame_count, video.colour.full_range) == (25, 3, False)
    assert made.patch_error(next(frames(video)).image) <= 3


def test_matroska_says_that_it_rounds(tmp_path):
    assert "millisecond" in " ".join(write(tmp_path / "a.mkv", like(), [0]).notes)
    assert write(tmp_path / "a.mp4", like(), [0]).notes == []
    assert write(tmp_path / "b.mkv", like(base=Fraction(1, 25), rate=Fraction(25)), [0]).notes == []


def test_quiet(tmp_path, capfd):
    for name in VIDEO_NAMES:
        write(tmp_path / f"a{ENCODERS.load(name).suffixes[0]}", like(), [0, 1], encoder=name)
    assert capfd.readouterr() == ("", "")


def test_web_layout(tmp_path):
    """mp4: the index stands before the pictures, so that browsers start at once."""
    write(tmp_path / "a.mp4", like(), [0, 1])
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")


def test_words_of_the_room_load_no_library():
    code = "import sys, facewright.media.frame; sys.exit('av' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", VIDEO_NAMES)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_very_short_films(tmp_path, name, count):
    """x265 leaves decoding times unset in them: several tries, since that fails at random."""
    path = tmp_path / f"a{ENCODERS.load(name).suffixes[0]}"
    for _ in range(6 if name == "h265" else 1):
        write(path, like(), list(range(7, 7 + count)), encoder=name)
        tolerance = 0.0006 if path.suffix in (".mkv", ".webm") else 0
        expected = [float(i / NTSC) for i in range(7, 7 + count)]
        assert [float(t) for t in seconds(path)] == pytest.approx(expected, abs=tolerance)
