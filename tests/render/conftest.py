"""A source film with sound, a merge of it with scripted pictures, and a permit for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facewright.core.step import Likeness
from facewright.media.reader import frame_times, open_video
from facewright.media.writer import write_chunk
from facewright.merge.result import likeness_record, save_record
from facewright.provenance.keys import machine_key
from facewright.provenance.ledger import Ledger
from facewright.provenance.new import Answers, new_record
from facewright.provenance.permit import Permit, allow
from facewright.provenance.store import ConsentStore

RATE = Fraction(30000, 1001)
SIZE = (96, 64)
CHUNK = 24


def picture(index: int, level: int = 0) -> np.ndarray:
    """(64, 96, 3) uint8: spells `index` in its upper left pixel block, `level` in the rest."""
    image = np.full((SIZE[1], SIZE[0], 3), level, np.uint8)
    image[:16, :16] = (index // 256, index % 256, 0)
    return image


def write_source(path: Path, count: int) -> None:
    """A film of the fixtures' rate with a tone of the same length."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=RATE, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 1, 1, 1, 1
        sound = film.add_stream("aac", rate=48000)
        for index in range(count):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index, 90), format="rgb24")))
        film.mux(stream.encode())
        tone = np.sin(np.arange(int(count / RATE * 48000)) * 0.05).astype(np.float32)
        for start in range(0, len(tone) - 1023, 1024):
            raw = av.AudioFrame.from_ndarray(tone[None, start : start + 1024].copy(), format="fltp", layout="mono")
            raw.sample_rate, raw.pts = 48000, start
            film.mux(sound.encode(raw))
        film.mux(sound.encode())


@dataclass(frozen=True)
class Scene:
    """Where things of one test lie."""

    source: Path
    merged: Path
    store: ConsentStore
    ledger: Ledger

    def permit(self, stage: str = "render", likenesses: list[Likeness] | None = None) -> Permit:
        """The real gate's answer for the merge's own likenesses."""
        from facewright.merge.result import Merged

        faces = Merged.open(self.merged).likenesses() if likenesses is None else likenesses
        return allow(stage, faces, store=self.store, now=datetime.now(UTC), ledger=self.ledger)


@pytest.fixture
def make_scene(tmp_path: Path) -> Callable[..., Scene]:
    """Build a scene of `count` frames; `level(i)`: brightness of merged picture i."""

    def make(count: int = 60, level: Callable[[int], int] = lambda index: 160) -> Scene:
        source, merged = tmp_path / "in" / "plate.mp4", tmp_path / "out"
        source.parent.mkdir()
        (merged / "chunks").mkdir(parents=True)
        write_source(source, count)
        video = open_video(source)
        times = frame_times(video)
        chunks = []
        for start in range(0, count, CHUNK):
            stop, name = min(start + CHUNK, count), f"{start:07d}.mkv"
            images = [picture(i, level(i)) for i in range(start, stop)]
            masks = [np.zeros(SIZE[::-1], np.uint8)] * len(images)
            write_chunk(merged / "chunks" / name, images, masks, [int(t) for t in times[start:stop]], video.time_base)
            chunks.append({"file": name, "start": start, "stop": stop})
        faces = [Likeness(role, "", "", tmp_path / "faces", (video.sha256,))
                 for role in ("source_likeness", "target_performer")]
        save_record(merged, {
            "frames": count, "size_px": list(SIZE), "chunks": chunks,
            "video": {"path": str(source), "file": source.name, "sha256": video.sha256, "size_px": list(SIZE),
                      "rate": str(video.rate), "time_base": str(video.time_base), "bit_depth": 8},
            "likenesses": [likeness_record(face) for face in faces],
        })
        pinned = tmp_path / "pinned.json"
        pinned.write_text(json.dumps({"keys": []}))
        store = ConsentStore(tmp_path / "store", shipped=tmp_path / "shipped", pinned=pinned)
        use = "A test of the render stage with drawn pictures, nobody is shown."
        new_record(Answers("invented", use, "now", True, media=[video.sha256]), store=store, key=machine_key(),
                   now=datetime.now(UTC))
        return Scene(source, merged, store, Ledger(tmp_path / "ledger.jsonl"))

    return make


class StubNet:
    """Reads the picture's level and answers with a scripted score for it."""

    def __init__(self, score_of_level: Callable[[int], float]) -> None:
        self.score_of_level, self.seen = score_of_level, 0

    def __call__(self, images_01: np.ndarray) -> np.ndarray:
        self.seen += len(images_01)
        out = np.zeros((len(images_01), 5), np.float32)
        for row, image in zip(out, images_01):
            row[3] = self.score_of_level(round(float(image[150:, 100:].mean()) * 255))
        return out


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], float] | None], StubNet | None]:
    """Put a scripted net (None: no net) in the gate's place."""
    from facewright.provenance import sensitive

    def put(score_of_level: Callable[[int], float] | None) -> StubNet | None:
        stub = StubNet(score_of_level) if score_of_level is not None else None
        monkeypatch.setattr(sensitive, "classifier", lambda: (stub, "ab" * 32) if stub is not None else None)
        return stub

    return put
