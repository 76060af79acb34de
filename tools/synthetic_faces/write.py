"""Stills into a faceset, chunk by chunk: killed runs go on, the same recipe gives the same files."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from tools.footage import head
from tools.synthetic_faces import still
from tools.synthetic_faces.cast import Cast, Order
from tools.synthetic_faces.mesh468 import Bend

from facewright.core.errors import Mismatch
from facewright.core.files import sha256_of, write_atomic
from facewright.faces.align import face_from_frame, landmark_box
from facewright.faces.face import Face, FaceType, SourceRef, face_id
from facewright.faceset.cut import PROFILE_YAW_DEG, fixed_point, sharpness
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Source
from facewright.faceset.record import encode_face
from facewright.faceset.store import Writer, chunk_folder

RECIPE = "synthetic.json"
CHUNK = 48
VERSION = 1
"""Goes up when the same recipe gives other pictures."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a set: the same recipe, the same pictures."""

    kind: str
    face_type: str
    heads: int
    side_px: int
    seed: int
    version: int = VERSION

    @property
    def order(self) -> Order:
        """What each still is."""
        return Order(FaceType(self.face_type), self.side_px, self.kind == "masks")

    def chunks(self) -> list[range]:
        """Numbers of the heads, CHUNK at a time."""
        return [range(a, min(a + CHUNK, self.heads)) for a in range(0, self.heads, CHUNK)]


def make(out: Path, recipe: Recipe, model: Path, workers: int) -> str:
    """Render what is missing of a set in `out`; returns the digest of its recipe, the "film" its faces come from.

    Raises Mismatch (another set lies there), DiskRefused.
    """
    digest = _claim(out, recipe)
    with Writer(out) as writer:
        writer.sweep()
        writer.update_header(lambda h: _header(h, recipe, digest, done=False))
        missing = [c for c in recipe.chunks() if not chunk_folder(out, digest, c.start).exists()]
        ready = recipe.heads - sum(map(len, missing))
        for chunk, files in _rendered(recipe, digest, missing, model, workers):
            writer.add_chunk(digest, chunk.start, files)
            ready += len(chunk)
            print(f"\r{ready} of {recipe.heads} heads", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        writer.update_header(lambda h: _header(h, recipe, digest, done=True))
    Faceset.open(out)
    return digest


def _claim(out: Path, recipe: Recipe) -> str:
    """Write the recipe, or check that the one that lies there is the same; its SHA-256."""
    path = out / RECIPE
    text = (json.dumps({"generator": "facewright tools.synthetic_faces", **asdict(recipe)}, indent=1) + "\n").encode()
    if path.exists() and path.read_bytes() != text:
        raise Mismatch(
            f"{out.name} holds another synthetic set.", why=f"Its recipe is in {RECIPE}.",
            remedy="Use the same settings to go on with it, or another folder.", where=path,
        )  # fmt: skip
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
    return sha256_of(path)


def _header(header: Header, recipe: Recipe, digest: str, *, done: bool) -> Header:
    source = Source(RECIPE, digest, "1", (recipe.side_px, recipe.side_px), recipe.heads, asdict(recipe), done,
                    {"frames": recipe.heads, "faces": recipe.heads} if done else {})  # fmt: skip
    return Header(recipe.face_type, recipe.side_px, (source,), header.consent, header.person, header.people)


def _rendered(recipe: Recipe, digest: str, chunks: list[range], model: Path, workers: int,
              ) -> Iterator[tuple[range, list[tuple[str, bytes]]]]:  # fmt: skip
    """Chunks with their files as they come, from processes of their own (in this one when there is one worker)."""
    if workers <= 1:
        built = _open(model)
        for chunk in chunks:
            yield chunk, render_chunk(built, recipe, digest, chunk)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (model, recipe, digest)) as pool:
        waiting: dict[Future[list[tuple[str, bytes]]], range] = {}
        todo = iter(chunks)
        try:
            while True:
                for chunk in todo:
                    waiting[pool.submit(_work, chunk)] = chunk
                    if len(waiting) > workers:
                        break
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(future), future.result()
        finally:
            for future in waiting:
                future.cancel()


Files = list[tuple[str, bytes]]
"""File names and what is in them."""


def render_chunk(built: tuple[head.HeadModel, Bend], recipe: Recipe, digest: str, chunk: range) -> Files:
    """(file name, face file) of some heads. Their looks follow from the chunk, everything else from their number."""
    model, bend = built
    order = recipe.order
    kind = ("masks", "pretrain").index(recipe.kind)
    shared = Cast(model, bend, (recipe.seed, kind, chunk.start))
    out = []
    for number in chunk:
        made = still.render(shared, order, np.random.default_rng((recipe.seed, kind, chunk.start, 0, number)))
        face = _face(made, order, SourceRef(RECIPE, digest, number, number, Fraction(1)))
        out.append((f"{face.face_id}.jpg", encode_face(face, made.picture, made.mask)))
    return out


def _face(made: still.Still, order: Order, source: SourceRef) -> Face:
    mesh, scale = fixed_point(made.mesh_px)
    flags = [word for word, here in (("crop_leaves_frame", made.leaves_frame),
                                     ("profile", abs(made.pose_deg[0]) >= PROFILE_YAW_DEG)) if here]  # fmt: skip
    yaw, pitch, roll = made.pose_deg
    return Face(
        face_id=face_id(source.sha256, source.frame_index, 0), source=source, box_px=landmark_box(made.points_px),
        score=1.0, presence_01=1.0, mesh_px=mesh, mesh_scale=scale, points_px=made.points_px,
        face_type=order.face_type, side_px=order.side_px,
        face_from_frame=face_from_frame(made.points_px, order.side_px, order.face_type), yaw_deg=yaw, pitch_deg=pitch,
        roll_deg=roll, sharpness=sharpness(made.picture), flags=tuple(flags), mask_by="synthetic",
    )  # fmt: skip


def _open(model: Path) -> tuple[head.HeadModel, Bend]:
    cv2.setNumThreads(1)
    built = head.load(model)
    return built, Bend.of(built)


_HELD: list[object] = []
"""What a worker process was started with."""


def _start(model: Path, recipe: Recipe, digest: str) -> None:
    _HELD[:] = [_open(model), recipe, digest]


def _work(chunk: range) -> list[tuple[str, bytes]]:
    built, recipe, digest = _HELD
    return render_chunk(built, recipe, digest, chunk)  # type: ignore[arg-type]
