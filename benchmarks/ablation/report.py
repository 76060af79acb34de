"""Finished arms against the A/A ones: a Markdown table and a picture.

An arm's difference to the mean of the A/A arms is given in sigmas, s sqrt(1 + 1/n) of n A/A arms with the sample
standard deviation s: what one more A/A arm would be expected to miss their mean by.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.ablation.results import Record

Better = Literal["up", "down", "one", "at most one"]
NOISE = 2.0
_CERTAIN = {2: 12.7, 3: 4.3, 4: 3.2, 5: 2.8, 6: 2.6, 7: 2.4, 8: 2.4}
"""95 % of Student's t for n - 1 degrees of freedom, by the number n of A/A arms."""


@dataclass(frozen=True, slots=True)
class Figure:
    """name of the column; metric and key within a part's scores; parts that are averaged; what is better: more, less,
    nearer to one, or less down to one (flicker below the plate's is no merit: blur does not flicker)."""

    name: str
    metric: str
    better: Better
    key: str = "value"
    parts: tuple[str, ...] = ("seen", "unseen")

    def of(self, record: Record) -> float:
        """The mean over the parts; NaN where it was not measured."""
        scores = record["scores"]
        found = [self._value(scores[part]) for part in self.parts if part in scores]
        return statistics.fmean(found) if found else math.nan

    def _value(self, part: dict[str, Any]) -> float:
        value = part.get(self.metric, math.nan)
        return float(value.get(self.key, math.nan) if isinstance(value, dict) else value)

    def worth(self, value: float) -> float:
        """The value so that more is better."""
        return {"up": value, "down": -value, "one": -abs(value - 1), "at most one": -max(value, 1.0)}[self.better]


FIGURES = (
    Figure("ITR", "ITR", "up"), Figure("sim", "sim_source", "up"), Figure("ID2", "ID2", "up"),
    Figure("PF1 deg", "PF1", "down"), Figure("PF1 unbiased", "PF1_without_bias", "down"),
    Figure("E_norm", "E_norm", "down"),
    # The target's mouth hardly moves in R1's unseen frames: nothing to follow there.
    Figure("MAR r", "MAR_r", "up", parts=("seen",)), Figure("MAR gain", "MAR_gain", "one", parts=("seen",)),
    Figure("EAR r", "EAR_r", "up"), Figure("F3", "F3", "at most one", key="ratio"),
    Figure("F3lo", "F3lo", "at most one", key="ratio"), Figure("lap1", "lap1", "one"),
    Figure("T2", "T2", "at most one"), Figure("CP1", "CP1", "down"), Figure("CP2", "CP2", "one"),
    Figure("CP3", "CP3", "down"),
    Figure("DSSIM src", "DSSIM_src", "down", parts=("held_out",)),
    Figure("DSSIM dst", "DSSIM_dst", "down", parts=("held_out",)),
)


@dataclass(frozen=True, slots=True)
class Noise:
    """What the A/A arms say of one figure."""

    mean: float
    sigma: float
    count: int

    @classmethod
    def of(cls, figure: Figure, records: Iterable[Record]) -> Noise:
        """From the A/A records; sigma is NaN with fewer than two."""
        values = [v for v in map(figure.of, records) if math.isfinite(v)]
        if len(values) < 2:
            return cls(values[0] if values else math.nan, math.nan, len(values))
        return cls(statistics.fmean(values), statistics.stdev(values) * math.sqrt(1 + 1 / len(values)), len(values))

    def sigmas(self, figure: Figure, value: float) -> float:
        """How much better than the mean, in sigmas; worse is negative. A figure that never varies: 0 or infinite."""
        gain = figure.worth(value) - figure.worth(self.mean)
        if self.sigma == 0:
            return 0.0 if gain == 0 else math.copysign(math.inf, gain)
        return gain / self.sigma

    @property
    def certain(self) -> float:
        """Sigmas from which chance is excluded with 95 %."""
        return _CERTAIN.get(self.count, NOISE)


def is_noise(record: Record) -> bool:
    """Whether a record is an A/A one."""
    return str(record["arm"]).startswith("aa-")


def noises(records: Sequence[Record]) -> list[Noise]:
    """One for each figure."""
    same = [r for r in records if is_noise(r)]
    return [Noise.of(figure, same) for figure in FIGURES]


def verdict(record: Record, noise: Sequence[Noise]) -> str:
    """What is better and what is worse beyond 2 sigmas, certain ones in bold; else `within noise`."""
    parts = []
    for word, sign in (("better", 1), ("worse", -1)):
        named = []
        for figure, n in zip(FIGURES, noise):
            sigmas = sign * n.sigmas(figure, figure.of(record))
            if sigmas >= NOISE:
                named.append(f"**{figure.name}**" if sigmas >= n.certain else figure.name)
        if named:
            parts.append(f"{word}: {', '.join(named)}")
    return "; ".join(parts) or "within noise"


def markdown(records: Sequence[Record]) -> str:
    """Three tables: noise, verdicts, and every figure in sigmas."""
    noise = noises(records)
    same = [r for r in records if is_noise(r)]
    whole = [r["iterations"] for r in same if "collapsed" not in r]
    others = [r for r in records if not is_noise(r)]
    steps = statistics.fmean(whole) if whole else math.nan
    lines = [_heading(records, same), "", "| figure | better | A/A mean | sigma | A/A values |", "|---|" + "---|" * 4]
    for figure, n in zip(FIGURES, noise):
        values = ", ".join(f"{figure.of(r):.3f}" for r in same)
        lines.append(f"| {figure.name} | {figure.better} | {n.mean:.4f} | {n.sigma:.4f} | {values} |")
    lines += ["", "| arm | what is changed | iterations | against A/A |", "|---|---|---|---|"]
    for r in [*same, *others]:
        share = f"{r['iterations']} ({r['iterations'] / steps - 1:+.0%})" if whole else str(r["iterations"])
        said = "fell apart" if "collapsed" in r else "" if is_noise(r) else verdict(r, noise)
        lines.append(f"| {r['arm']} | {_changes(r)} | {share} | {said} |")
    lines += ["", f"| arm | {' | '.join(f.name for f in FIGURES)} |", "|---|" + "---|" * len(FIGURES)]
    for r in (r for r in others if "collapsed" not in r):
        cells = [f"{f.of(r):.3f} ({n.sigmas(f, f.of(r)):+.1f})" for f, n in zip(FIGURES, noise)]
        lines.append(f"| {r['arm']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _heading(records: Sequence[Record], same: Sequence[Record]) -> str:
    if not records:
        return "No arm is finished yet."
    first, count = records[0], len(same)
    commits = ", ".join(sorted({r["commit"] + ("+" if r["uncommitted"] else "") for r in records}))
    return (
        f"Pair {first['pair']}, {first['minutes']:g} CPU-minutes an arm on one thread of {first['cpu']}, commits "
        f"{commits}. In brackets: sigmas better (+) or worse (-) than the mean of {count} A/A arms. Below {NOISE:g} is "
        f"within noise. With {count} A/A arms only {_CERTAIN.get(count, NOISE):g} or more excludes chance with 95 % "
        "for one figure (bold). Many figures are read: one in twenty exceeds that by chance."
    )


def _changes(record: Record) -> str:
    changed = record["changed"]
    if len(changed) > 8:
        return f"{len(changed)} values"
    return ", ".join(f"{k} {v}" for k, v in changed.items()) or "nothing"


def draw(records: Sequence[Record], path: Path) -> None:
    """One row an arm, one column a figure: its dot against the A/A band of 2 sigmas (grey), better to the right."""
    from PIL import Image, ImageDraw, ImageFont

    ordered = [*(r for r in records if is_noise(r)), *(r for r in records if not is_noise(r))]
    noise = noises(records)
    left, top, wide, tall, reach = 170, 54, 86, 20, 8.0
    image = Image.new("RGB", (left + wide * len(FIGURES) + 10, top + tall * len(ordered) + 26), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    for row, r in enumerate(ordered):
        y = top + tall * row
        if row % 2:
            pen.rectangle((0, y, image.width, y + tall - 1), fill=(246, 246, 249))
        pen.text((6, y + 3), str(r["arm"]), fill=(40, 40, 46), font=font)
    for column, (figure, n) in enumerate(zip(FIGURES, noise)):
        x0 = left + wide * column
        middle, unit = x0 + wide / 2, (wide / 2 - 6) / reach
        bottom = top + tall * len(ordered)
        pen.text((x0 + 4, 8), figure.name, fill=(40, 40, 46), font=font)
        pen.text((x0 + 4, 24), f"{n.mean:.3f} ±{n.sigma:.3f}", fill=(120, 120, 128), font=font)
        pen.rectangle((middle - NOISE * unit, top, middle + NOISE * unit, bottom), fill=(222, 224, 230))
        pen.line((x0, top - 6, x0, bottom), fill=(210, 210, 216))
        for row, r in enumerate(ordered):
            if "collapsed" in r:
                pen.text((x0 + 30, top + tall * row + 3), "fell", fill=(214, 69, 65), font=font)
                continue
            _dot(pen, n, figure, r, (middle, top + tall * row + tall / 2), unit, reach)
    text = f"dots: sigmas from the A/A mean, right is better; band: 2 sigmas; triangles: beyond {reach:g}"
    pen.text((6, image.height - 20), text, fill=(120, 120, 128), font=font)
    image.save(path)


def _dot(
    pen: Any, noise: Noise, figure: Figure, record: Record, at: tuple[float, float], unit: float, reach: float
) -> None:
    """Green beyond the band to the right, red to the left, hollow where sigma is not known."""
    sigmas = noise.sigmas(figure, figure.of(record))
    x, y = at
    if math.isnan(sigmas):
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), outline=(150, 150, 156))
        return
    colour = (70, 70, 78) if abs(sigmas) < NOISE else (24, 143, 87) if sigmas > 0 else (214, 69, 65)
    x += max(-reach, min(reach, sigmas)) * unit
    if abs(sigmas) > reach:
        way = math.copysign(4, sigmas)
        pen.polygon(((x - way, y - 4), (x - way, y + 4), (x + way, y)), fill=colour)
    else:
        pen.ellipse((x - 3.5, y - 3.5, x + 3.5, y + 3.5), fill=colour)
