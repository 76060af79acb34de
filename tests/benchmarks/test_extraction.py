from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from benchmarks.extraction import found_figures, jitter, markdown, pool
from tests.faceset.conftest import make_face

from facewright.faces.face import Face


def face(frame: int, move: np.ndarray | float = 0.0, box=(10.0, 10, 60, 60), track: str = "t", **changes) -> Face:
    points = np.zeros((68, 2), np.float32)
    points[36:42], points[42:48] = (100, 100), (200, 100)  # eyes 100 px apart: pixels are percent
    made = make_face(frame, points_px=(points + move).astype(np.float32), box_px=box, track=track, presence_01=1.0)
    return dataclasses.replace(made, **changes)


def test_jitter_is_what_leaves_a_straight_line():
    assert jitter([face(i, 2.0 * i) for i in range(6)]) == pytest.approx(0, abs=1e-3)
    shaken = [face(i, np.array([0.5 * (i % 2), 0])) for i in range(6)]
    assert jitter(shaken) == pytest.approx(1.0)  # + - +: twice half a pixel
    assert jitter(shaken[:2]) is None
    assert jitter([face(i, 0.5 * (i % 2), presence_01=0.5) for i in range(6)]) is None


def test_repeated_frames_do_not_count():
    moves = [0, 0, 3, 3, 5, 5, 0, 0]
    assert jitter([face(i, np.array([m, 0])) for i, m in enumerate(moves)]) is None


def test_counts():
    faces = [face(i) for i in range(10) if i != 4]
    faces += [face(7, box=(200.0, 10, 250, 60), track="stray", flags=("low_score",))]
    figures = found_figures(faces, 10, 1)
    assert (figures["frames"], figures["found"], figures["lost_frames"]) == (10, 9, [4])
    assert (figures["faces_shown"], figures["all_found"], figures["false"]) == (10, 9, 1)
    assert figures["flags"] == {"low_score": 1}


def row(frames=1000, found=1000, **more):
    return {"frames": frames, "found": found, "faces_shown": frames, "all_found": found, "false": 0, "faces": found,
            "cpu_s": 15.0, "nets_cpu_s": 10.0, "decode_cpu_s": 1.0, "shots_cpu_s": 1.0, "wall_s": 12.0,
            **more}


def test_goals():
    assert pool({"a": row()})["goals"] == {"found": True, "rest": True, "wall": True}
    assert pool({"a": row(), "b": row(found=998)})["goals"]["found"] is False  # one clip lost two
    assert pool({"a": row(100, 99)})["goals"]["found"] is False  # 99 %
    assert pool({"a": row(cpu_s=17.0)})["goals"]["rest"] is False
    assert pool({"a": row(wall_s=14.0)})["goals"]["wall"] is False


def test_the_table_says_what_was_missed():
    rows = {"a": row(cpu_s=17.0)}
    text = markdown({"clips": rows, "pooled": pool(rows), "load": [0.1, 0.2]})
    assert "| a | 1000 | 1000 | 100.00 | 1000/1000 | 0 |" in text
    assert "found met, rest MISSED, wall met" in text
    assert "Load before and after: 0.1, 0.2." in text
