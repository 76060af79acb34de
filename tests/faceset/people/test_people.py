"""Real heads over cuts and in split screens: who is who, and where tracks end."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.steps import run

from facewright.faceset.extraction.extract import ExtractStep
from facewright.faceset.faceset import Faceset
from facewright.faceset.people import persons
from facewright.faceset.settings import ExtractSettings
from facewright.media.frame import ColourTags, Video
from facewright.media.reader import frames, open_video
from facewright.media.writer import FilmWriter

BASE = Fraction(1, 12)


def _film(place: Path, pictures: list[np.ndarray]) -> Path:
    height, width = pictures[0].shape[:2]
    like = Video(place, "", 0, (width, height), Fraction(12), len(pictures), len(pictures) / 12, 0, 8,
                 ColourTags(1, 1, 1), BASE)
    with FilmWriter(place, like, encoder="ffv1") as writer:
        for index, picture in enumerate(pictures):
            writer.write(picture, index)
    return place


def _extracted(film: Path, place: Path) -> Faceset:
    step = ExtractStep([str(film)], str(place), ExtractSettings(resolution=256))
    run(step)
    return Faceset.open(place)


@pytest.mark.shared
def test_a_head_is_the_same_behind_a_cut_and_its_track_ends_there(shared, weights, tmp_path):
    """Both sit in the frame, then he alone where she sat, then both again: a place is no person."""
    both, man = (list(frames(open_video(shared / "footage" / f"{name}.mp4"), 8, 26))
                 for name in ("two_people_headpose", "man_headpose"))
    alone = [np.roll(f.image, -90, 1) for f in man[:14]]
    pictures = [f.image for f in both[:12]] + alone + [f.image for f in both[12:]]
    faceset = _extracted(_film(tmp_path / "cuts.mkv", pictures), tmp_path / "set")
    listed = persons.listed(faceset.path)["people"]
    assert [one["faces"] for one in listed] == [32, 18]
    tracks = [track for one in listed for track in persons.tracks_of(faceset.path, one["name"])]
    assert {(track["first_frame"], track["last_frame"]) for track in tracks} == {(0, 11), (12, 25), (26, 31)}
    name = faceset.namer()
    right = {name(face) for face in faceset if face.source.frame_index < 12 and face.box_px[0] > 240}
    assert right == {listed[0]["name"]}


@pytest.mark.shared
def test_a_mirror_is_two_tracks_that_a_user_may_call_one_person(shared, weights, tmp_path):
    man = [f.image[:, 90:390] for f in frames(open_video(shared / "footage" / "man_headpose.mp4"), 0, 40)]
    pictures = [np.ascontiguousarray(np.concatenate([p, p[:, ::-1]], 1)) for p in man]
    faceset = _extracted(_film(tmp_path / "mirror.mkv", pictures), tmp_path / "set")
    listed = persons.listed(faceset.path)["people"]
    assert [(one["faces"], one["tracks"]) for one in listed] == [(40, 1), (40, 1)]
    persons.merge(faceset.path, [one["name"] for one in listed])
    assert [(one["faces"], one["tracks"]) for one in persons.tell_apart(faceset.path)["people"]] == [(80, 2)]
