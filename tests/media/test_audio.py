from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.media import conftest as made

from facewright.media.frame import Video
from facewright.media.reader import frame_times, frames, open_video
from facewright.media.writer import FilmWriter

# source file, its sound, target file, encoder, whether packets are copied
CASES = [
    ("a.mp4", "aac", "o.mp4", "h264", True),
    ("a.mp4", "aac", "o.mov", "prores-hq", True),
    ("a.mp4", "aac", "o.mkv", "ffv1", True),
    ("a.mp4", "aac", "o.webm", "vp9", False),
    ("p.mov", "pcm_s16le", "o.mov", "h264", True),
    ("p.mov", "pcm_s16le", "o.webm", "vp9", False),
    ("p.mkv", "pcm_s16le", "o.mp4", "h264", False),
    ("f.mkv", "flac", "o.mp4", "h264", True),
    ("f.mkv", "flac", "o.mov", "h264", False),
    ("o.mkv", "libopus", "o.mp4", "h264", True),
    ("o.mkv", "libopus", "o.webm", "vp9", True),
    ("o.mkv", "libopus", "o.mov", "h264", False),
    ("m.mkv", "libmp3lame", "o.mp4", "h264", True),
    ("m.avi", "libmp3lame", "o.mp4", "h264", True),
    ("t.ts", "aac", "o.mp4", "h264", None),  # the container's own framing comes off: copied, bytes differ
]


def remake(source: Video, path: Path, encoder: str, **options: object) -> FilmWriter:
    with FilmWriter(path, source, encoder=encoder, audio_from=source, **options) as film:
        for frame in frames(source):
            film.write(frame.image, frame.pts)
    return film


def flash_time_s(video: Video) -> float:
    for frame in frames(video):
        if frame.image.mean() / (257 if frame.image.dtype == np.uint16 else 1) > 130:
            return frame.time_s
    raise AssertionError("no flash")


def digest(path: Path) -> str:
    return hashlib.md5(b"|".join(made.sound_packets(path))).hexdigest()


@pytest.mark.parametrize(("name", "sound", "target", "encoder", "copied"), CASES)
class TestEveryWay:
    """The contract of sound: in sync, and untouched where the container takes it."""

    def test_sync_and_copy(self, tmp_path, name, sound, target, encoder, copied):
        source = open_video(made.sound_clip(tmp_path / name, sound, sample_rate=48_000))
        path = tmp_path / "out" / target
        film = remake(source, path, encoder)
        result = open_video(path)
        assert result.frame_count == source.frame_count
        late = float(frame_times(result)[0] * result.time_base - frame_times(source)[0] * source.time_base)
        before = frame_times(source) * float(source.time_base) + late
        rounding = 0.0006 if target.endswith(("mkv", "webm")) else 1e-9
        np.testing.assert_allclose(frame_times(result) * float(result.time_base), before, atol=rounding)
        if late:
            assert f"{late * 1000:.0f} ms" in " ".join(film.notes)
            assert target.endswith("mkv")
        # sound against picture, before and after: within one millisecond (Matroska rounds, codecs smear)
        kept = made.click_time_s(source.path) - flash_time_s(source)
        assert made.click_time_s(path) - flash_time_s(result) == pytest.approx(kept, abs=0.0012)
        anew = [note for note in film.notes if "anew" in note]
        if copied is False:
            assert sound.removeprefix("lib")[:3] in anew[0].lower() or "mp3" in anew[0]
        else:
            assert not anew
        if copied:
            assert digest(path) == digest(source.path)


@pytest.mark.parametrize("start_s", [0.25, -0.1])
def test_a_sound_that_starts_later_or_earlier_stays_so(tmp_path, start_s):
    source = open_video(made.sound_clip(tmp_path / "a.mov", "pcm_s16le", start_s=start_s))
    remake(source, tmp_path / "o.mp4", "h264")
    kept = made.click_time_s(source.path) - flash_time_s(source)
    result = open_video(tmp_path / "o.mp4")
    assert made.click_time_s(result.path) - flash_time_s(result) == pytest.approx(kept, abs=1e-3)
    assert digest(tmp_path / "o.mp4") == digest(source.path)


def test_a_film_that_starts_late_keeps_its_offset_to_the_sound(tmp_path):
    """MPEG-TS does not start at zero: an edit in the result says so, exactly."""
    source = open_video(made.sound_clip(tmp_path / "t.ts", "aac", rate=Fraction(25)))
    remake(source, tmp_path / "o.mp4", "h264")
    result = open_video(tmp_path / "o.mp4")
    first = [int(frame_times(v)[0]) * v.time_base for v in (source, result)]
    assert first[0] == first[1] > 0


def test_all_tracks_and_languages(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        tracks = [container.add_stream("aac", rate=44_100, layout=layout) for layout in ("mono", "stereo")]
        for track, language in zip(tracks, ("deu", "fra")):
            track.metadata["language"] = language
        for index in range(25):
            raw = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40, np.uint8))
            raw.pts = index
            container.mux(picture.encode(raw))
        for track, layout in zip(tracks, ("mono", "stereo")):
            for begin in range(0, 44_100, 1024):
                raw = av.AudioFrame.from_ndarray(
                    np.zeros((1 if layout == "mono" else 2, 1024), np.float32), format="fltp", layout=layout
                )
                raw.sample_rate, raw.pts = 44_100, begin
                container.mux(track.encode(raw))
            container.mux(track.encode(None))
        container.mux(picture.encode(None))
    source = open_video(path)
    remake(source, tmp_path / "o.mp4", "h264")
    assert [(t.codec, t.channels, t.language) for t in open_video(tmp_path / "o.mp4").audio] == [
        ("aac", 1, "deu"), ("aac", 2, "fra"),
    ]  # fmt: skip
    remake(source, tmp_path / "o.webm", "vp9")
    assert [(t.codec, t.channels) for t in open_video(tmp_path / "o.webm").audio] == [("opus", 1), ("opus", 2)]


def test_no_sound_asked_for_or_there(tmp_path):
    source = open_video(made.sound_clip(tmp_path / "a.mp4", "aac"))
    with FilmWriter(tmp_path / "o.mp4", source) as film:
        for frame in frames(source):
            film.write(frame.image, frame.pts)
    silent = open_video(tmp_path / "o.mp4")
    assert silent.audio == ()
    remake(silent, tmp_path / "p.mp4", "h264")
    assert open_video(tmp_path / "p.mp4").audio == ()


def test_pictures_have_no_sound_and_say_so(tmp_path):
    source = open_video(made.sound_clip(tmp_path / "a.mp4", "aac"))
    film = remake(source, tmp_path / "out", "png")
    assert "no sound" in " ".join(film.notes)


def test_damaged_sound_does_not_stop_the_film(tmp_path):
    path = made.sound_clip(tmp_path / "a.mkv", "flac")
    with av.open(str(path)) as container:
        position, size = [(p.pos, p.size) for p in container.demux(container.streams.audio[0]) if p.size][3]
    data = bytearray(path.read_bytes())
    data[position + 12 : position + size - 4] = bytes(b ^ 0x5A for b in data[position + 12 : position + size - 4])
    path.write_bytes(data)
    source = open_video(path)
    for target, encoder in (("o.mov", "h264"), ("o.mkv", "h264")):
        remake(source, tmp_path / target, encoder)
        assert open_video(tmp_path / target).frame_count == source.frame_count


def test_a_source_that_vanishes_leaves_nothing(tmp_path):
    source = open_video(made.sound_clip(tmp_path / "a.mp4", "aac"))
    source.path.unlink()
    out = tmp_path / "out"
    with pytest.raises(Exception, match="no file"), FilmWriter(out / "o.mp4", source, audio_from=source):
        pass
    assert list(out.iterdir()) == []
