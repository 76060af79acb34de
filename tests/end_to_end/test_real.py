"""The whole road on two licensed clips of real people, under the basis for test footage: marked, never distributed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.end_to_end.conftest import pictures, same_time_and_sound

from facewright.merge.result import Merged

pytestmark = [pytest.mark.slow, pytest.mark.shared, pytest.mark.timeout(3 * 3600)]

SOURCE, TARGET, REFUSED = "franck_conversation.mp4", "webcam_man_hand.mp4", "glasses_man_expressions.mp4"
SHAPE = ("--archi", "df-ud", "--resolution", "64", "--ae-dims", "32", "--e-dims", "16", "--d-dims", "16",
         "--d-mask-dims", "16")  # fmt: skip
TRAIN = ("--precision", "float32", "--threads", "1", "--batch-size", "4", "--optimiser", "adamw", "--lr", "0.002",
         "--iterations", "60")  # fmt: skip


@pytest.fixture
def clips(shared: Path) -> dict[str, Path]:
    found = {name: shared / "footage" / name for name in (SOURCE, TARGET, REFUSED)}
    absent = [name for name, path in found.items() if not path.is_file()]
    if absent:
        pytest.skip(f"not in the shared footage: {', '.join(absent)}")
    return found


def test_two_real_clips(clips, weights, cli, tmp_path):
    faces = {side: tmp_path / side for side in ("src", "dst")}
    for side, name in (("src", SOURCE), ("dst", TARGET)):
        code, out, err = cli("extract", clips[name], faces[side], "--face-type", "full_face", "--resolution", "128",
                             *(["--fps", "2", "--end", "24"] if side == "src" else []), "--json")
        assert code == 0, err
        (facts,) = json.loads(out)["films"].values()
        assert facts["faces"] >= 0.9 * facts["frames"]
        assert json.loads(cli("consent", "list", "--json")[1]) is not None
    for side, role in (("src", "source_likeness"), ("dst", "target_performer")):
        code, out, err = cli("consent", "new", "--who", "test-footage", "--use",
                             "A test of the whole road on licensed test footage, kept inside.", "--proof", "now",
                             "--adult", "--name", f"clip {side}", "--role", role, "--faceset", faces[side], "--json")
        assert code == 0, out + err
        assert json.loads(out)["basis"] == "test_footage"
    code, out, err = cli("train", "saehd", tmp_path / "run", "--src", faces["src"], "--dst", faces["dst"], *SHAPE,
                         *TRAIN)
    assert code == 0, err
    code, out, err = cli("merge", clips[TARGET], faces["dst"], tmp_path / "run", tmp_path / "merged", "--json")
    assert code == 0, err
    assert json.loads(out)["swapped"] > 0.9 * json.loads(out)["frames"]
    film = tmp_path / "film.mp4"
    code, out, err = cli("render", tmp_path / "merged", film, "--audio-from", clips[TARGET], "--json")
    assert code == 0, err
    assert json.loads(out)["marks"][0] == "TEST"
    same_time_and_sound(film, clips[TARGET])
    assert cli("verify", film)[0] == 0
    the_mark_is_seen(film, tmp_path / "merged")


def the_mark_is_seen(film: Path, merged: Path) -> None:
    """Somewhere at the border the film differs from the merged frame by far more than compression does."""
    index = 10
    shown = pictures(film, [index])[0].astype(np.int16)
    made = next(c for c in Merged.open(merged).composites(index, index + 1, masks=False)).image.astype(np.int16)
    difference = np.abs(shown - made).max(-1)
    height, width = difference.shape
    corners = [difference[y, x] for y in (slice(0, height // 5), slice(-height // 5, None))
               for x in (slice(0, width // 2), slice(-width // 2, None))]
    assert max(np.quantile(corner, 0.995) for corner in corners) > 60


def test_a_clip_that_is_not_on_the_list_is_refused(clips, weights, cli, tmp_path):
    """Licensed, but its person agreed to no such use: no record of test footage can name it."""
    faces = tmp_path / "glasses"
    code, _, err = cli("extract", clips[REFUSED], faces, "--face-type", "full_face", "--resolution", "128", "--end",
                       "0.4")
    assert code == 0, err
    code, out, _ = cli("consent", "new", "--who", "test-footage", "--use",
                       "A test of the whole road on licensed test footage, kept inside.", "--proof", "now", "--adult",
                       "--name", "clip", "--faceset", faces, "--json")
    assert code == 2
    assert json.loads(out)["error"]["code"] == "FW-201"
    code, out, _ = cli("train", "saehd", tmp_path / "run", "--src", faces, "--dst", faces, *SHAPE, *TRAIN, "--json")
    assert code == 2
    assert json.loads(out)["error"]["code"] == "FW-201"
    assert not (tmp_path / "run" / "run.json").exists()
