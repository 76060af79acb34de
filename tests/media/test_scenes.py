"""Shots: exact on cuts made up, whole where a camera only moves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.media.reader import frames, open_video
from facewright.media.scenes import CutSearch, find_cuts, find_shots, small_size
from facewright.media.sidecar import Sidecar
from facewright.media.stills import encode_still

SIZE = (160, 90)


def world(seed: int) -> np.ndarray:
    """(180, 320, 3) uint8: a place to film, unlike those of other seeds."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(30, 226, (6, 10, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(blocks, (320, 180), interpolation=cv2.INTER_CUBIC))


def filmed(seed: int, count: int, speed: float = 1.0) -> list[np.ndarray]:
    """Pictures of a camera that pans over one place."""
    place = world(seed)
    return [place[20:110, int(at * speed) : int(at * speed) + 160] for at in range(count)]


def write(
    path: Path, pictures: list[np.ndarray], pts: list[int] | None = None, base: Fraction = Fraction(1, 25)
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18", "bf": "2", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = base
        for at, picture in enumerate(pictures):
            raw = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            raw.pts, raw.time_base = (at if pts is None else pts[at]), base
            container.mux(stream.encode(raw))
        container.mux(stream.encode(None))
    return path


def test_cuts_are_exact_frames_wherever_they_lie(tmp_path: Path) -> None:
    lengths = [1, 7, 20, 4, 33, 2]  # also a shot of one picture at the start and of two at the end
    pictures = [p for seed, n in enumerate(lengths) for p in filmed(seed, n)]
    seen: list[tuple[int, int]] = []
    shots = find_shots(open_video(write(tmp_path / "a.mp4", pictures)), on_progress=lambda d, t: seen.append((d, t)))
    assert [(s.first, s.stop) for s in shots] == [(0, 1), (1, 8), (8, 28), (28, 32), (32, 65), (65, 67)]
    assert [s.index for s in shots] == list(range(6))
    assert shots[2].start_s == pytest.approx(8 / 25)
    assert shots[-1].end_s == pytest.approx(67 / 25)
    assert shots[3].frame_count == 4
    assert seen[-1] == (67, 67)


def test_times_are_the_films_own_where_the_rate_varies(tmp_path: Path) -> None:
    pictures = filmed(1, 10) + filmed(2, 10)
    pts = [int(x) for x in np.cumsum([5, *([40, 20, 80] * 7)[:19]])]
    video = open_video(write(tmp_path / "v.mp4", pictures, pts, Fraction(1, 1000)))
    assert video.variable_rate
    shots = find_shots(video)
    assert [(s.first, s.stop) for s in shots] == [(0, 10), (10, 20)]
    assert shots[0].end_s == shots[1].start_s == pytest.approx((pts[10] - pts[0]) / 1000)


def test_a_moving_camera_a_flash_and_a_fade_in_are_no_cuts() -> None:
    pan = filmed(3, 40, speed=4)
    assert find_cuts(pan) == []
    for length in (1, 2, 3):
        flashed = [*pan[:20], *[np.full_like(pan[0], 255)] * length, *pan[20 + length :]]
        assert find_cuts(flashed) == []
    dark = [np.rint(p * min(1, at / 20)).astype(np.uint8) for at, p in enumerate(pan)]
    assert find_cuts(dark) == []


def test_a_fade_through_black_is_one_cut_and_a_black_card_a_shot() -> None:
    first, second = filmed(4, 30, speed=0), filmed(5, 30, speed=0)
    ramp = np.linspace(1, 0, 20)
    faded = [
        *first[:10], *(np.rint(p * f).astype(np.uint8) for p, f in zip(first[10:], ramp)),
        *(np.rint(p * f).astype(np.uint8) for p, f in zip(second, ramp[::-1])), *second[20:],
    ]
    found = find_cuts(faded)
    assert len(found) == 1
    assert 28 <= found[0] <= 31
    assert find_cuts([*first, *[np.zeros_like(first[0])] * 8, *second]) == [30, 38]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 14), st.sampled_from([1.0, 1.0, 0.2, 0.02, 0.0])),
                min_size=1, max_size=9))
def test_what_is_settled_stays(parts: list[tuple[int, int, float]]) -> None:
    """Hard cuts, flashes, black cards, fades: a cut below the settled index is told at once and for ever."""
    search, told = CutSearch(), list[tuple[float, list[int]]]()
    pictures = [np.rint(p * light).astype(np.uint8) for seed, n, light in parts for p in filmed(seed, n)]
    for picture in pictures:
        search.see(picture)
        told.append((search.settled, search.cuts()))
    search.end()
    final = search.cuts()
    assert final == find_cuts(pictures)
    assert search.settled > len(pictures)
    for settled, cuts in told:
        assert [c for c in cuts if c < settled] == [c for c in final if c < settled]
    assert [s for s, _ in told] == sorted(s for s, _ in told)


def test_cuts_of_a_long_film_are_told_again_and_again_at_little_cost() -> None:
    """Extraction asks every few frames: looking through all cuts for each fade took minutes for a film of two hours."""

    class Watched(list[int]):
        seen = 0

        def __getitem__(self, at):  # type: ignore[no-untyped-def,override]
            self.seen += 1
            return super().__getitem__(at)

        def __iter__(self):  # type: ignore[no-untyped-def,override]
            for one in super().__iter__():
                self.seen += 1
                yield one

    search = CutSearch()
    search._hard = hard = Watched(range(0, 100_000, 100))
    search._fades = [(at, at + 5, at + 10) for at in range(50, 100_000, 1_000)]
    assert len(search.cuts()) == 1_100
    assert hard.seen < 10_000


def test_what_is_settled_never_becomes_less() -> None:
    search, told = CutSearch(), list[float]()
    for level, count in ((130, 14), (9, 9), (125, 9), (10, 9), (90, 15)):
        for _ in range(count):
            search.see(np.full((4, 4, 3), level, np.uint8))
            told.append(search.settled)
    assert told == sorted(told)


def test_little_is_unsettled_while_it_is_light() -> None:
    search = CutSearch()
    for at, picture in enumerate(filmed(3, 60, speed=1)):
        search.see(picture)
        assert search.settled >= at - 14


def test_a_lower_threshold_finds_more() -> None:
    restless = filmed(6, 12, speed=9)
    pictures = restless + filmed(7, 12, speed=9)
    assert find_cuts(pictures, 1000.0) == []
    assert find_cuts(pictures, 2.0) == [12]


def test_each_still_is_a_shot_and_none_is_read(tmp_path: Path) -> None:
    for at in range(4):
        (tmp_path / f"{at}.png").write_bytes(encode_still(filmed(8, 1)[0]))
    video = open_video(tmp_path)
    (tmp_path / "2.png").write_bytes(b"broken since")
    assert [(s.first, s.stop) for s in find_shots(video)] == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("broken", [[0, 1], [4], [3, 9, 10]])
def test_a_damaged_picture_of_a_film_moves_no_cut(tmp_path: Path, broken: list[int]) -> None:
    names = [f"{at:03d}.png" for at in range(20)]
    for name, picture in zip(names, filmed(5, 12) + filmed(6, 8)):
        (tmp_path / name).write_bytes(encode_still(picture))
    Sidecar("", "film.mp4", "0" * 64, Fraction(25), Fraction(1, 25), True, True,
            tuple((name, at, at) for at, name in enumerate(names))).write(tmp_path)
    video = open_video(tmp_path)
    for at in broken:
        (tmp_path / names[at]).write_bytes(b"broken since")
    assert [(s.first, s.stop) for s in find_shots(video)] == [(0, 12), (12, 20)]


def test_nothing_to_look_at_and_sizes() -> None:
    assert find_cuts([]) == []
    assert find_cuts(filmed(1, 1)) == []
    assert small_size((1920, 1080), 256) == (256, 144)
    assert small_size((4000, 2), 256) == (256, 1)
    assert small_size((100, 50), 256) == (100, 50)


@pytest.mark.shared
def test_real_clips_are_one_shot_each_and_their_seams_are_found(shared: Path) -> None:
    names = ["webcam_man_take1", "woman_profile_turn", "glasses_man_expressions", "man_headpose", "webcam_man_hand"]
    joined, seams = [], []
    for name in names:
        film = open_video(shared / "footage" / f"{name}.mp4")
        pictures = [frame.image for frame in frames(film, 0, 60, size_px=(256, 192))]
        assert find_cuts(pictures) == []
        joined += pictures
        seams.append(len(joined))
    assert find_cuts(joined) == seams[:-1]


def test_rotated_films_are_looked_at_upright(make_clip) -> None:
    from tests.media.conftest import Clip

    path = make_clip(Clip("turned_scenes.mp4", "libx264", "yuv420p"), rotation=(90, False))
    assert find_shots(open_video(path))[-1].stop == 18
