"""Pieces of a film: taken over where packets allow it, else encoded; exact, in time with the sound."""

from __future__ import annotations

import math
from pathlib import Path

import av
import numpy as np
import pytest
from tests.media.conftest import NTSC, Clip, click_time_s, named_index, sound_clip, sound_packets

from facewright.core.errors import DiskRefused, FileRefused, NothingFound, SettingRefused
from facewright.media.cut import cut
from facewright.media.reader import frame_times, frames, open_video
from facewright.media.settings import CutSettings
from facewright.media.stills import encode_still

KEYS = {"bf": "2", "g": "6", "crf": "4", "sc_threshold": "0"}
NO_B = KEYS | {"bf": "0"}


def numbers(path: Path) -> list[int]:
    return [named_index(frame.image) for frame in frames(open_video(path))]


def expected(first: int, stop: int) -> list[int]:
    return [index * 5 % 6 for index in range(first, stop)]


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(container.streams.video[0]) if p.size]


def at(index: float) -> float:
    return index / float(NTSC)


def test_a_piece_from_a_key_frame_is_taken_over(make_clip, tmp_path):
    film = open_video(make_clip(Clip("cut/nob.mp4", "libx264", "yuv420p", options=NO_B)))
    piece = cut(film, tmp_path / "a.mp4", at(6), at(13), CutSettings())
    assert (piece.first, piece.stop, piece.copied, piece.exact) == (6, 13, True, True)
    assert numbers(piece.out) == expected(6, 13)
    assert packets(piece.out)[1:] == packets(film.path)[7:13]
    made = open_video(piece.out)
    assert made.rate == NTSC
    assert np.array_equal(frame_times(made), frame_times(film)[:7])


def test_any_other_piece_is_encoded_exactly(plain, tmp_path):
    film = open_video(plain)
    for first, stop in ((7, 12), (3, 4), (6, 11)):
        piece = cut(film, tmp_path / f"{first}.mp4", at(first), at(stop), CutSettings())
        assert (piece.first, piece.stop, piece.copied, piece.exact) == (first, stop, False, True)
        assert numbers(piece.out) == expected(first, stop)
        assert piece.start_s == pytest.approx(at(first), abs=1e-4)
        assert piece.end_s == pytest.approx(at(stop), abs=1e-4)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_copy_begins_at_the_key_frame_and_says_so(make_clip, tmp_path, suffix):
    film = open_video(make_clip(Clip("cut/keys.mp4", "libx264", "yuv420p", options=KEYS)))
    piece = cut(film, tmp_path / f"a{suffix}", at(8), at(11), CutSettings(), nearest=True)
    assert piece.copied
    assert not piece.exact
    assert piece.first == 6
    assert piece.stop == 12, "11 is needed by 10"
    assert numbers(piece.out) == expected(piece.first, piece.stop)
    assert open_video(piece.out).rate == NTSC


def test_to_the_end_and_the_whole_film(plain, tmp_path):
    film = open_video(plain)
    piece = cut(film, tmp_path / "whole.mp4", 0, math.inf, CutSettings())
    assert piece.copied
    assert piece.stop == 18
    assert numbers(piece.out) == expected(0, 18)
    assert cut(film, tmp_path / "end.mkv", at(15), math.inf, CutSettings()).stop == 18


def test_rotation_and_time_code_stay(make_clip, tmp_path):
    clip = Clip("turned_cut.mov", "libx264", "yuv420p", options=NO_B)
    film = open_video(make_clip(clip, rotation=(90, False), metadata={"timecode": "01:00:00:00"}))
    copied = open_video(cut(film, tmp_path / "a.mov", at(6), at(12), CutSettings()).out)
    assert copied.size_px == film.size_px
    encoded = open_video(cut(film, tmp_path / "b.mov", at(7), at(12), CutSettings()).out)
    assert encoded.size_px == film.size_px
    if film.timecode is not None:
        assert copied.timecode.text == "01:00:00:06"
        assert encoded.timecode.text == "01:00:00:07"
    a, b = (next(frames(film_of, start)).image for film_of, start in ((copied, 1), (encoded, 0)))
    assert np.abs(a.astype(int) - b).mean() < 6


@pytest.mark.parametrize("copy", [False, True])
def test_the_sound_stays_in_time(tmp_path, copy):
    path = sound_clip(tmp_path / "s.mp4", "aac", count=60, click_s=1.2)
    film = open_video(path)
    piece = cut(film, tmp_path / "p.mp4", at(20), at(50), CutSettings(), nearest=copy)
    made = open_video(piece.out)
    assert len(made.audio) == 1
    flash = next(f.time_s for f in frames(made) if f.image.mean() > 120)
    assert click_time_s(piece.out) == pytest.approx(flash, abs=0.5 / float(NTSC) + 0.002)
    assert piece.copied is copy
    assert set(sound_packets(piece.out)) <= set(sound_packets(path))
    last = max(p.pts * p.time_base for p in av.open(str(piece.out)).demux(audio=0) if p.size)
    assert float(last) <= made.duration_s + 0.03


def test_the_choice_of_sound(tmp_path):
    film = open_video(sound_clip(tmp_path / "s.mp4", "aac", count=30))
    for choice, count in (("none", 0), ("0", 1), ("all", 1)):
        piece = cut(film, tmp_path / f"{choice}.mp4", at(3), at(9), CutSettings(sound=choice))
        assert len(open_video(piece.out).audio) == count
    with pytest.raises(SettingRefused, match="no sound track 1"):
        cut(film, tmp_path / "x.mp4", 0, 1, CutSettings(sound="1"))


def test_varying_times_stay(make_clip, tmp_path):
    pts = [0, 100, 150, 300, 310, 400, 520, 600, 700, 710, 800, 900]
    from fractions import Fraction

    clip = Clip("vfr_cut.mkv", "libx264", "yuv420p", options=NO_B)
    film = open_video(make_clip(clip, count=12, pts=pts, time_base=Fraction(1, 1000)))
    piece = cut(film, tmp_path / "v.mkv", 0.149, 0.6, CutSettings())
    assert (piece.first, piece.stop) == (2, 7)
    times = frame_times(open_video(piece.out)) * open_video(piece.out).time_base
    assert [round(float(t - times[0]) * 1000) for t in times] == [p - 150 for p in pts[2:7]]


def test_nothing_is_written_over_and_failures_leave_nothing(plain, tmp_path, monkeypatch):
    film, there = open_video(plain), tmp_path / "there.mp4"
    there.write_bytes(b"mine")
    with pytest.raises(DiskRefused, match="is there already"):
        cut(film, there, 0, 1, CutSettings())
    assert there.read_bytes() == b"mine"
    with pytest.raises(SettingRefused, match="not the name of a film"):
        cut(film, tmp_path / "a.txt", 0, 1, CutSettings())
    with pytest.raises(NothingFound, match="in that range"):
        cut(film, tmp_path / "b.mp4", 5, 6, CutSettings())
    with pytest.raises(SettingRefused, match="without encoding"):
        cut(film, tmp_path / "c.webm", 0, 1, CutSettings(), nearest=True)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    for nearest in (False, True):
        with pytest.raises(KeyboardInterrupt):
            cut(film, tmp_path / "d.mp4", at(1), at(9), CutSettings(), nearest=nearest, on_progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["there.mp4"]


def test_stills_are_no_film(tmp_path):
    (tmp_path / "1.png").write_bytes(encode_still(np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(FileRefused, match="not a film"):
        cut(open_video(tmp_path), tmp_path / "x.mp4", 0, 1, CutSettings())


def test_damage_inside_is_told(make_clip, tmp_path):
    from tests.media.conftest import packet_places

    path = make_clip(Clip("hurt_cut.mp4", "libx264", "yuv420p", options=NO_B))
    place, size = packet_places(path)[8]
    data = bytearray(path.read_bytes())
    data[place + 4 : place + size] = b"\xff" * (size - 4)
    hurt = tmp_path / "hurt.mp4"
    hurt.write_bytes(data)
    piece = cut(open_video(hurt), tmp_path / "p.mp4", at(7), at(11), CutSettings())
    assert len(numbers(piece.out)) == 4
    assert any("8" in note for note in piece.notes)
