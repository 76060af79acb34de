"""Command line: `python -m tools.footage demo|still ...` from the repository's root."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from tools.footage import backdrop, clip, demo, film, head, motion, person, voice

CLIPS = ("source", "target", "true_swap")


def cast(name: str) -> tuple[person.Person, film.Scene, motion.Motion]:
    """Who, where and what: the true swap is person A's head with B's shirt, room and performance."""
    if name == "source":
        return demo.PERSON_A, demo.ROOM_A, demo.MOTION_A
    who = demo.PERSON_B if name == "target" else dataclasses.replace(demo.PERSON_A, cloth=demo.PERSON_B.cloth)
    return who, demo.ROOM_B, demo.MOTION_B


def render(model: head.HeadModel, name: str, out: Path, samples: int, crf: int) -> dict[str, np.ndarray]:
    """Render one clip of the demo; gives its ground truth."""
    who, scene, moves = cast(name)
    scene = dataclasses.replace(scene, samples=samples)
    track = motion.perform(model, moves)
    built = person.build(model, who)
    sound = None if name == "true_swap" else voice.sing(moves, track.syllables)
    marks, pose = clip.write(out / f"{name}.mp4", film.shoot(model, built, scene, track), moves.fps, sound, crf)
    jaw = track.weights[:, model.expression_names.index("jawOpen")]
    return {"landmarks68_px": marks, "yaw_pitch_roll_deg": pose, "jaw_open_01": jaw}


def make_demo(arguments: argparse.Namespace) -> None:
    """Render the demo's clips and write their ground truth beside them."""
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    model = head.load(arguments.model)
    truth: dict[str, np.ndarray] = {}
    path = out / "truth.npz"
    if path.exists():
        with np.load(path) as old:
            truth.update({k: old[k] for k in old.files})
    for name in arguments.clips:
        started = time.process_time()
        for kind, values in render(model, name, out, arguments.samples, arguments.crf).items():
            if name != "true_swap" or kind == "landmarks68_px":
                truth[f"{name}_{kind}"] = values.astype(np.float32)
        print(f"{name}: {time.process_time() - started:.0f} CPU-s", file=sys.stderr)
        part = path.with_name(".truth.part.npz")
        np.savez_compressed(part, **truth)
        part.replace(path)


def make_stills(arguments: argparse.Namespace) -> None:
    """Write single frames of a clip as PNG."""
    model = head.load(arguments.model)
    who, scene, moves = cast(arguments.clip)
    scene = dataclasses.replace(scene, samples=arguments.samples)
    track = motion.perform(model, moves)
    built = person.build(model, who)
    behind = backdrop.paint(scene.backdrop, scene.camera)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number in arguments.frames:
        shot = film.frame(model, built, scene, track.pose_deg[number], track.weights[number], behind, number)
        cv2.imwrite(str(arguments.out / f"{arguments.clip}_{number:04d}.png"), shot.picture[..., ::-1])


def main() -> None:
    """Parse the command line and render."""
    parser = argparse.ArgumentParser(prog="python -m tools.footage", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with ict_facekit_light.npz")
    parser.add_argument("--samples", type=int, default=2, choices=(1, 2, 3, 4), help="samples per pixel side")
    kinds = parser.add_subparsers(required=True)
    clips = kinds.add_parser("demo", help="the demo's three clips and truth.npz")
    clips.add_argument("out", type=Path)
    clips.add_argument("--clips", nargs="+", choices=CLIPS, default=CLIPS)
    clips.add_argument("--crf", type=int, default=20)
    clips.set_defaults(run=make_demo)
    stills = kinds.add_parser("still", help="single frames of a clip as PNG")
    stills.add_argument("out", type=Path)
    stills.add_argument("--clip", choices=CLIPS, default="source")
    stills.add_argument("--frames", type=int, nargs="+", default=[0])
    stills.set_defaults(run=make_stills)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
