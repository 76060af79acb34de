"""The gate against sexual content: target and result are sampled before a film leaves the house.

Sampled: first, middle and last frame of each shot, one frame a second, 16 random ones. A frame is a hit at a score
(porn + hentai) of 0.8; around a score of 0.4 the net looks again at 5 frames a second. A film is refused for 3
hits within 10 s or for more than 2 % of its samples. There is no flag and no setting, and a hit has no override:
trim or change the shots. Without the net a film is `unscreened`: only marked previews of at most 10 s.

The net's recall on real positives was never measured: a speed bump beside the consent records, not a proof.
Pictures are handed in as arrays; nothing is stored or sent.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from facewright.core.errors import ContentRefused
from facewright.core.files import sha256_of
from facewright.core.weights import available

HIT, GREY = 0.8, 0.4
HITS_IN_WINDOW, WINDOW_S, SHARE = 3, 10.0, 0.02
RANDOM_FRAMES = 16
GREY_RATE_HZ, GREY_REACH_S = 5.0, 1.0
PREVIEW_LIMIT_S = 10.0
MARK_PREVIEW = "PREVIEW"
SIDE_PX = 224
_BATCH = 16

Classifier = Callable[[np.ndarray], np.ndarray]
"""(B, 224, 224, 3) float32 RGB 0..1 -> (B, 5): drawing, hentai, neutral, porn, sexy."""
Reader = Callable[[list[int]], Iterable[tuple[int, np.ndarray]]]
"""Sorted frame indices -> (index, (H, W, 3) RGB uint8 or uint16 picture), each once."""
State = Literal["clear", "hits_below_rule", "refused", "unscreened"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the net said of one frame: score_01 = porn + hentai; sexy_01 is recorded and never blocks."""

    index: int
    time_s: float
    score_01: float
    sexy_01: float

    def as_dict(self) -> dict[str, Any]:
        """JSON without floats: thousandths."""
        return {"frame": self.index, "time": timecode(self.time_s), "score_milli": round(self.score_01 * 1000),
                "sexy_milli": round(self.sexy_01 * 1000)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's word on one film. `subject`: target or result. `net_sha256` is "" when unscreened."""

    state: State
    subject: str
    duration_s: float
    samples: int = 0
    hits: tuple[Sample, ...] = ()
    grey: int = 0
    highest_01: float = 0.0
    sexiest_01: float = 0.0
    net_sha256: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For ledger and manifest: no floats, no picture."""
        return {
            "state": self.state, "subject": self.subject, "samples": self.samples, "grey": self.grey,
            "highest_milli": round(self.highest_01 * 1000), "sexiest_milli": round(self.sexiest_01 * 1000),
            "hits": [hit.as_dict() for hit in self.hits[:32]],
            "net": self.net_sha256,
        }


def sample_plan(times_s: np.ndarray, shots: Sequence[tuple[int, int]], rng: np.random.Generator) -> list[int]:
    """Sorted frame indices to look at. times_s (N,) float64, ascending; shots: (first, one past the last) frames."""
    count = len(times_s)
    if not count:
        return []
    spans = [(max(a, 0), min(b, count)) for a, b in shots] or [(0, count)]
    chosen = {i for a, b in spans if b > a for i in (a, (a + b - 1) // 2, b - 1)}
    seconds = np.arange(times_s[0], times_s[-1] + 1e-9, 1.0)
    chosen.update(np.minimum(np.searchsorted(times_s, seconds - 1e-9), count - 1).tolist())
    chosen.update(rng.choice(count, size=min(RANDOM_FRAMES, count), replace=False).tolist())
    return sorted(chosen)


def screen(
    read: Reader, times_s: np.ndarray, classify: Classifier | None, *, subject: str, seed: int,
    shots: Sequence[tuple[int, int]] = (), net_sha256: str = "",
) -> Verdict:
    """Look at one film. times_s (N,): each frame's time. classify None = the net is not here."""
    duration_s = _duration(times_s)
    if classify is None:
        return Verdict("unscreened", subject, duration_s)
    plan = sample_plan(times_s, shots, np.random.default_rng(seed))
    found = _look(read, plan, times_s, classify)
    again = _around_grey(found, times_s)
    found += _look(read, again, times_s, classify)
    hits = tuple(sorted((s for s in found if s.score_01 >= HIT), key=lambda s: s.time_s))
    verdict = Verdict(
        "clear", subject, duration_s, len(found), hits, sum(GREY <= s.score_01 < HIT for s in found),
        max((s.score_01 for s in found), default=0.0), max((s.sexy_01 for s in found), default=0.0), net_sha256,
    )
    if film_is_hit([hit.time_s for hit in hits], len(found)):
        return replace(verdict, state="refused")
    return replace(verdict, state="hits_below_rule") if hits else verdict


def film_is_hit(hit_times_s: Sequence[float], samples: int) -> bool:
    """3 hits within 10 s, or more than 2 % of all samples. Times ascending."""
    dense = any(b - a <= WINDOW_S for a, b in zip(hit_times_s, hit_times_s[HITS_IN_WINDOW - 1:], strict=False))
    return dense or len(hit_times_s) > SHARE * samples


def marks_for(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """What a film with these verdicts must show. Raises ContentRefused when it may not be delivered at all."""
    for verdict in verdicts:
        if verdict.state == "refused":
            times = ", ".join(f"{timecode(h.time_s)} ({h.score_01:.2f})" for h in verdict.hits[:8])
            raise ContentRefused(
                f"The {verdict.subject} film shows sexual content, as far as the content gate can tell.",
                why=f"{len(verdict.hits)} of {verdict.samples} samples, at {times}.",
                remedy="Trim or change these shots and merge again; no setting changes this.", where=verdict.subject,
            )
    unseen = [verdict for verdict in verdicts if verdict.state == "unscreened"]
    if not unseen and verdicts:
        return ()
    if max((verdict.duration_s for verdict in unseen), default=np.inf) > PREVIEW_LIMIT_S:
        raise ContentRefused(
            "The film cannot be delivered: the content gate has no net to look at it.",
            why=f"Without the net only marked previews of up to {PREVIEW_LIMIT_S:g} s are written.",
            remedy="Fetch the net with `facewright weights fetch nsfwjs`, or merge a shorter part.", where="nsfwjs",
        )
    return (MARK_PREVIEW,)


def classifier() -> tuple[Classifier, str] | None:
    """The net and its sha256, or None when it is not on this machine. Touches no network."""
    path = available("nsfwjs")
    if path is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def classify(images_01: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, {name: images_01})[0])

    return classify, sha256_of(path)


def shrink(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB uint8 or uint16 -> (224, 224, 3) float32 0..1, whole frame, aspect not kept."""
    from PIL import Image

    small = Image.fromarray(image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8))
    return np.asarray(small.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR), np.float32) / 255


def timecode(time_s: float) -> str:
    """`h:mm:ss.mmm`."""
    milli = round(time_s * 1000)
    return f"{milli // 3_600_000}:{milli // 60_000 % 60:02}:{milli // 1000 % 60:02}.{milli % 1000:03}"


def _look(read: Reader, plan: list[int], times_s: np.ndarray, classify: Classifier) -> list[Sample]:
    found: list[Sample] = []
    pictures = read(plan) if plan else ()
    with ExitStack() as stack:
        if isinstance(pictures, Generator):  # it may hold a film open: end it now, also after an error
            stack.callback(pictures.close)
        for group in _groups(pictures):
            scores = classify(np.stack([image for _, image in group]))
            for (index, _), row in zip(group, np.asarray(scores, np.float64), strict=True):
                found.append(Sample(index, float(times_s[index]), float(row[1] + row[3]), float(row[4])))
    if len(found) != len(plan) or not all(np.isfinite(s.score_01) for s in found):
        raise ContentRefused(
            "The content gate could not see the whole film.", why=f"{len(found)} of {len(plan)} samples were readable.",
            remedy="Check that the film plays to its end, then render again.",
        )
    return found


def _groups(pictures: Iterable[tuple[int, np.ndarray]]) -> Iterator[list[tuple[int, np.ndarray]]]:
    small = ((index, shrink(image)) for index, image in pictures)
    group: list[tuple[int, np.ndarray]] = []
    for item in small:
        group.append(item)
        if len(group) == _BATCH:
            yield group
            group = []
    if group:
        yield group


def _around_grey(found: list[Sample], times_s: np.ndarray) -> list[int]:
    """Indices not looked at yet, 5 a second within 1 s of every grey sample."""
    offsets = np.arange(-GREY_REACH_S, GREY_REACH_S + 1e-9, 1 / GREY_RATE_HZ)
    centres = np.array([s.time_s for s in found if GREY <= s.score_01 < HIT])
    if not len(centres):
        return []
    wanted = (centres[:, None] + offsets).ravel()
    wanted = wanted[(wanted >= times_s[0]) & (wanted <= times_s[-1])]
    indices = np.minimum(np.searchsorted(times_s, wanted - 1e-9), len(times_s) - 1)
    return sorted(set(indices.tolist()) - {s.index for s in found})


def _duration(times_s: np.ndarray) -> float:
    """Seconds from the first frame's begin to the last one's end (the last lasts as long as the mean frame)."""
    count = len(times_s)
    return float((times_s[-1] - times_s[0]) * count / (count - 1)) if count > 1 else 0.0
