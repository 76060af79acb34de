"""Sentences of advice from the numbers of `coverage`: what to add, what to take away, what no training will cure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

WARNING, NOTE = "warning", "note"
FEW, GOOD_FROM, GOOD_TO, MANY = 500, 3_000, 8_000, 15_000
"""Faces of a source: below FEW is too little for a good swap; GOOD is the advised range; beyond MANY nothing is won."""
MOST_FILMS, LEAST_SHARE_01, MOST_BAD_01, MOST_HARSH_01 = 5, 0.02, 0.05, 0.1
LEAST_ALIKE = 0.6
"""Cosine of two films' mean faces: of one person 0.7 and more, as those of the test clips."""
LEAST_RATIO, MOST_ENLARGED_01, COLOUR_APART, SHARPNESS_APART = 0.06, 0.2, 15.0, 3.0

Advice = dict[str, str]
"""kind: "warning" or "note"; about: a word; text: one or two sentences."""


def advise(
    source: Mapping[str, Any], compared: Mapping[str, Any] | None = None, target: Mapping[str, Any] | None = None
) -> list[Advice]:
    """Everything worth saying, the gravest first. source, target: coverage.facts; compared: coverage.compare."""
    found = [*_number(source), *_quality(source), *_films(source), *_light(source)]
    if compared is not None and target is not None:
        found += [*_poses(compared, target), *_looks(compared), *_heads(compared), *_danger(compared)]
    return sorted(found, key=lambda one: one["kind"] != WARNING)


def _say(kind: str, about: str, text: str) -> Advice:
    return {"kind": kind, "about": about, "text": text}


def _number(source: Mapping[str, Any]) -> Iterator[Advice]:
    n = source["faces"]
    if n < FEW:
        yield _say(WARNING, "number", f"{n:,} faces are few: some {GOOD_FROM:,} to {GOOD_TO:,} varied ones make a good "
                   "source, a score of photos does not.")
    elif n < GOOD_FROM:
        yield _say(NOTE, "number", f"{n:,} faces will do; {GOOD_FROM:,} to {GOOD_TO:,} varied ones are better.")
    elif n > MANY:
        yield _say(WARNING, "number", f"{n:,} faces are more than a net takes in: thin them out "
                   "(`faces clean --duplicates 2`, or --best 8000).")
    elif n > GOOD_TO:
        yield _say(NOTE, "number", f"{n:,} faces are enough for a net that serves many films; for one film "
                   f"{GOOD_FROM:,} to {GOOD_TO:,} do.")


def _quality(source: Mapping[str, Any]) -> Iterator[Advice]:
    n = max(source["faces"], 1)
    for word, most in (("blurry", MOST_BAD_01), ("obstructed", MOST_BAD_01), ("bad_exposure", MOST_BAD_01)):
        share = source[word] / n
        if share > most:
            yield _say(WARNING, word, f"{100 * share:.0f} % of the source is {_WORDS[word]} (a few in a hundred do no "
                       "harm): `faces clean` shows and takes them out.")
    share = source["enlarged"] / n
    if share > MOST_ENLARGED_01:
        yield _say(NOTE, "size", f"{100 * share:.0f} % of the source has less than half the detail of its crops' size: "
                   "larger faces make a sharper swap.")


_WORDS = {"blurry": "blurry", "obstructed": "covered by something", "bad_exposure": "badly exposed or tinted"}


def _films(source: Mapping[str, Any]) -> Iterator[Advice]:
    films = [film for film in source["films"] if film["faces"] >= max(10, source["faces"] / 100)]
    if len(films) > MOST_FILMS:
        yield _say(NOTE, "films", f"{len(films)} films and folders make up the source: fewer give a better likeness, "
                   "if they show all poses.")
    sharp = [film for film in films if film["sharpness"]]
    if len(sharp) > 1:
        best, worst = (pick(sharp, key=lambda film: film["sharpness"]) for pick in (max, min))
        if best["sharpness"] > SHARPNESS_APART * worst["sharpness"]:
            yield _say(NOTE, "films", f"{worst['file']} is far softer than {best['file']} (sharpness "
                       f"{worst['sharpness']:.0f} and {best['sharpness']:.0f}): the swap comes out in between.")
    unlike = [film for film in films if film["alike"] is not None and film["alike"] < LEAST_ALIKE]
    for film in unlike[:3]:
        yield _say(WARNING, "films", f"{film['file']} looks unlike the rest of the source (likeness "
                   f"{film['alike']:.2f}): "
                   "another beard, hair, make-up or age makes the likeness vague; it may be somebody else.")
    if unlike:
        return
    films = [film for film in films if np.isfinite(film["colour"]).all()]
    if len(films) > 1:
        colours = np.array([film["colour"][1:] for film in films])
        apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
        if apart.max() > COLOUR_APART:
            a, b = (films[int(i)]["file"] for i in np.unravel_index(apart.argmax(), apart.shape))
            yield _say(NOTE, "films", f"{a} and {b} differ much in colour: check for make-up, tinted light, another "
                       "season's beard or hair, or another person.")


def _light(source: Mapping[str, Any]) -> Iterator[Advice]:
    if source["harsh"] > MOST_HARSH_01 * source["faces"]:
        yield _say(NOTE, "light", f"{100 * source['harsh'] / source['faces']:.0f} % of the source is lit harshly from "
                   "one side: soft light is learned better.")
    for turn, lights in source["light_by_turn"].items():
        total = sum(lights.values())
        missing = [word for word, n in lights.items() if n < LEAST_SHARE_01 * total]
        if total >= max(20, 0.05 * source["faces"]) and missing:
            yield _say(NOTE, "light", f"In the source, faces {turn} are hardly ever {' or '.join(missing)}: "
                       "three lights an angle (even, from both sides) let the swap follow the target's.")


def _poses(compared: Mapping[str, Any], target: Mapping[str, Any]) -> Iterator[Advice]:
    for one in compared["beyond"]:
        (a, b), (c, d) = one["source_deg"], one["target_deg"]
        yield _say(WARNING, "pose", f"The target {one['what']} from {_range((c, d))} degrees, the source from "
                   f"{_range((a, b))}: no training time cures that. Add source footage with those poses.")
    share = compared["out_of_reach"] / max(target["faces"], 1)
    if compared["poses"] and share >= 0.01:
        worst = compared["poses"][0]
        yield _say(WARNING if share >= 0.05 else NOTE, "pose", f"{100 * share:.0f} % of the target's faces look where "
                   f"hardly any face of the source does; most at yaw {_range(worst['yaw_deg'])}, pitch "
                   f"{_range(worst['pitch_deg'])}.")


def _range(pair: Sequence[float]) -> str:
    return f"{pair[0]:z.0f} to {pair[1]:z.0f}"


def _looks(compared: Mapping[str, Any]) -> Iterator[Advice]:
    for kind in ("expressions", "light"):
        for one in compared[kind]:
            yield _say(NOTE, kind, f"{one['what'].capitalize()}: {100 * one['target_01']:.0f} % of the target, "
                       f"{_percent(one['source_01'])} of the source.")


def _percent(share_01: float) -> str:
    return "none" if not share_01 else f"{100 * share_01:.1f} %"


def _heads(compared: Mapping[str, Any]) -> Iterator[Advice]:
    off = {word: ratio - 1 for word, ratio in compared["proportions"].items() if ratio is not None}
    if not off:
        yield _say(NOTE, "head", "The heads' proportions were not compared: one of the sets has no face that looks "
                   "ahead.")
    large = {word: v for word, v in off.items() if abs(v) > LEAST_RATIO}
    if large:
        parts = ", ".join(f"{word} {100 * v:+.0f} %" for word, v in large.items())
        yield _say(WARNING, "head", f"The target's head differs in shape ({parts} against the source, measured in "
                   "distances of the eyes): the swap keeps the target's outline; an actor of like build, or the head "
                   "type, helps.")


def _danger(compared: Mapping[str, Any]) -> Iterator[Advice]:
    for one in compared["shots"][:10]:
        parts = [f"{one['profile']} are in profile" if one["profile"] else "",
                 f"{one['nod']} nod far" if one["nod"] else "",
                 f"{one['out_of_reach']} lie beyond the source's poses" if one["out_of_reach"] else ""]
        yield _say(NOTE, "shot", f"{one['file']}, frames {one['first_frame']} to {one['last_frame']}: "
                   f"of {one['faces']:,} faces {', '.join(filter(None, parts))}.")
    if len(compared["shots"]) > 10:
        yield _say(NOTE, "shot", f"And {len(compared['shots']) - 10} more shots (--json lists them).")
