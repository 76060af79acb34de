"""All gated metrics of one arm: pictures and points of plate and swap in, {metric: {value, p5, p95, se, plate}} out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.fwbench import acting, ground, picture, seam, steady, who
from benchmarks.fwbench.observe import Seen

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Judge:
    """Calibrated on frames that are not scored; identity parts are None without the net."""

    c_source: Array | None
    c_target: Array | None
    source_held: Seen
    target_held: Seen
    pair: who.PairJudge


def calibrate(source: Seen, source_held: Seen, target: Seen, target_held: Seen, limit: int = 160) -> Judge:
    """Centroids and the pair judge from calibration frames (<= `limit` of each for the pair judge)."""
    s, t = source.at(source.valid(45)), target.at(target.valid(45))
    pair = who.pair_judge(who.hog(_spread(s.crops, limit)), who.hog(_spread(t.crops, limit)))
    c_s = None if s.vectors is None else who.centroid(s.vectors)
    c_t = None if t.vectors is None else who.centroid(t.vectors)
    return Judge(c_s, c_t, source_held.at(source_held.valid(45)), target_held.at(target_held.valid(45)), pair)


def _spread(items: list[Array], limit: int) -> list[Array]:
    if len(items) <= limit:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, limit).astype(int)]


@dataclass(frozen=True, slots=True)
class Arm:
    """Pictures by frame index: plate, swap (uint8 RGB) and alpha (float32 0..1, also zero where nothing is swapped)."""

    plate: dict[int, Array]
    swap: dict[int, Array]
    alpha: dict[int, Array]


def identity(plate: Seen, swap: Seen, judge: Judge) -> dict[str, Any]:
    """ID1 (where the net is at hand) and ID2."""
    keep = plate.valid(45)
    p, s = plate.at(keep), swap.at(keep)
    id2 = who.rescaled(judge.pair, who.hog(s.crops), who.hog(judge.source_held.crops), who.hog(judge.target_held.crops))
    found: dict[str, Any] = {"ID2": {"value": id2, "plate": 0.0}}
    if s.vectors is None or p.vectors is None or judge.source_held.vectors is None:
        return found
    assert judge.c_source is not None
    assert judge.c_target is not None
    t = who.transfer(s.vectors, p.vectors, judge.source_held.vectors, judge.c_source, judge.c_target)
    margins = s.vectors @ (judge.c_source - judge.c_target)
    low, high, se = who.bootstrap(margins, 25)
    span = t.margin_source - t.margin_plate
    found["ITR"] = {
        "value": t.itr,
        "p5": (low - t.margin_plate) / span,
        "p95": (high - t.margin_plate) / span,
        "se": se / span,
        "plate": 0.0,
    }
    found["sim_source"] = {"value": t.sim_source, "plate": float((p.vectors @ judge.c_source).mean())}
    found["sim_target"] = {"value": t.sim_target, "plate": float((p.vectors @ judge.c_target).mean())}
    found["margin"] = {"value": float(margins.mean()), "plate": t.margin_plate, "source": t.margin_source}
    return found


def performance(plate: Seen, swap: Seen, duplicates: Array) -> dict[str, Any]:
    """PF1, PF2, PF3, PF5 and T2."""
    keep = plate.valid(60)
    p, s = plate.at(keep), swap.at(keep)
    found: dict[str, Any] = {k: {"value": v} for k, v in acting.pose(p.meshes, s.meshes).items()}
    expression = acting.expression(p.meshes, s.meshes)
    found["E_norm"] = {"value": expression["E_norm"], "plate": 0.0, "amplitude": expression["amplitude"]}
    found["mouth_norm"] = {"value": expression["mouth_norm"], "plate": 0.0}
    for name, opening in (("MAR", acting.mouth_opening), ("EAR", acting.eye_opening)):
        for key, value in acting.likeness(opening(p.points), opening(s.points)).items():
            found[f"{name}_{key}"] = {"value": value, "plate": 1.0 if key in {"r", "gain"} else 0.0}
    found["blink_F1"] = {
        "value": acting.blink_f1(acting.eye_opening(p.points), acting.eye_opening(s.points)),
        "plate": 1.0,
    }
    runs = steady.runs(duplicates[keep], p.frames)
    jp, js = acting.jitter(p.points, p.u_px, runs), acting.jitter(s.points, p.u_px, runs)
    found["T2"] = {"value": js / jp, "swap": js, "plate": jp}
    return found


def look_of(arm: Arm, plate: Seen, duplicates: Array) -> dict[str, Any]:
    """CP1-CP5 per frame and T1 over triples."""
    rows: dict[str, list[float]] = {
        k: [] for k in ("CP1", "CP1_max", "CP2", "lap1", "lap2", "grain", "F3", "F3_plate", "F3lo", "F3lo_plate")
    }
    worst_outside, swapped = 0, 0
    keep = plate.valid(60)
    for i, index in enumerate(plate.frames):
        a = arm.alpha[index]
        worst_outside = max(worst_outside, seam.untouched(arm.plate[index], arm.swap[index], a))
        where = ground.zone(a)
        if where.empty:
            continue
        swapped += 1
        if keep[i]:
            _still(arm, int(index), where, float(plate.u_px[i]), rows)
            _moving(arm, int(index), where, float(plate.u_px[i]), bool(duplicates[i]), rows)
    found = {k: _frames(v) for k, v in rows.items() if not k.endswith("_plate")}
    for name in ("F3", "F3lo"):
        mean_plate = float(np.nanmean(rows[f"{name}_plate"])) if rows[f"{name}_plate"] else float("nan")
        found[name] = {**found[name], "plate": mean_plate, "ratio": found[name]["mean"] / mean_plate}
    found["CP3"] = {"value": float(worst_outside), "plate": 0.0}
    found["coverage"] = {"value": swapped / max(len(plate.frames), 1)}
    return found


def _still(arm: Arm, index: int, where: ground.Zone, u: float, rows: dict[str, list[float]]) -> None:
    lab_p, lab_s = ground.lab(arm.plate[index]), ground.lab(arm.swap[index])
    l_p, l_s = lab_p[..., 0], lab_s[..., 0]
    median, most = seam.step_lab(lab_p, lab_s, where, u)
    inner = where.inside & (where.distance_px < -0.15 * u)
    rows["CP1"].append(median)
    rows["CP1_max"].append(most)
    rows["CP2"].append(seam.gradient_ratio(l_p, l_s, where, u, ground.skin_sectors(lab_p, where, u)))
    for name, sigma in (("lap1", 1.0), ("lap2", 2.0)):
        rows[name].append(picture.laplacian_rms(l_s, inner, sigma) / picture.laplacian_rms(l_p, inner, sigma))
    rows["grain"].append(picture.grain(l_s, inner) / picture.grain(l_p, inner))


def _moving(arm: Arm, index: int, where: ground.Zone, u: float, twin: bool, rows: dict[str, list[float]]) -> None:
    near = (index - 1, index, index + 1)
    if twin or any(i not in arm.swap for i in near):
        return
    luma = tuple(ground.luma(arm.plate[i]) for i in near)
    if ground.duplicate(luma[2], luma[1]):
        return
    films = tuple(tuple(ground.lab(film[i])[..., 0] for i in near) for film in (arm.swap, arm.plate))
    s, p = steady.both(films, luma, where.inside, u)  # type: ignore[arg-type]
    rows["F3"].append(s.f3)
    rows["F3_plate"].append(p.f3)
    rows["F3lo"].append(s.f3lo)
    rows["F3lo_plate"].append(p.f3lo)


def _frames(values: list[float]) -> dict[str, float]:
    v = np.asarray(values, np.float64)
    v = v[np.isfinite(v)]
    if not len(v):
        return {
            "value": float("nan"),
            "mean": float("nan"),
            "p5": float("nan"),
            "p95": float("nan"),
            "se": float("nan"),
        }
    return {
        "value": float(np.median(v)),
        "mean": float(v.mean()),
        "p5": float(np.quantile(v, 0.05)),
        "p95": float(np.quantile(v, 0.95)),
        "se": who.bootstrap(v, 25)[2],
    }


def duplicates_of(plate: dict[int, Array], frames: Array) -> Array:
    """(T,) bool: frames that repeat the one before."""
    twins = []
    for index in frames:
        before = plate.get(int(index) - 1)
        twins.append(before is not None and ground.duplicate(ground.luma(plate[int(index)]), ground.luma(before)))
    return np.array(twins, bool)


def score(arm: Arm, plate: Seen, swap: Seen, judge: Judge | None) -> dict[str, Any]:
    """Everything of one arm. `swap` must be looked at over the same frames as `plate`."""
    twins = duplicates_of(arm.plate, plate.frames)
    found = performance(plate, swap, twins) | look_of(arm, plate, twins)
    if judge is not None:
        found |= identity(plate, swap, judge)
    return found


GATES: dict[str, tuple[str, float, float]] = {
    "coverage": ("value", 1.0, 1.0),
    "ITR": ("value", 0.6, 9.0),
    "sim_source": ("value", 0.5, 1.0),
    "PF1": ("value", 0.0, 3.0),
    "E_norm": ("value", 0.0, 0.5),
    "MAR_r": ("value", 0.9, 1.0),
    "MAR_lag": ("value", 0.0, 0.0),
    "F3": ("ratio", 0.0, 1.1),
    "F3lo": ("ratio", 0.0, 1.1),
    "lap1": ("value", 0.85, 1.2),
    "T2": ("value", 0.0, 1.1),
    "CP1": ("value", 0.0, 1.5),
    "CP1_max": ("p95", 0.0, 4.0),
    "CP2": ("value", 0.9, 1.15),
    "CP3": ("value", 0.0, 0.0),
}
"""Gates for a finished film (proposals of the protocol): metric -> (which number, low, high)."""


def gates(scores: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every gate's figure and whether it holds; identity gates only where they were measured."""
    found = {}
    for name, (key, low, high) in GATES.items():
        if name in scores and key in scores[name]:
            value = scores[name][key]
            found[name] = {"value": value, "low": low, "high": high, "holds": bool(low <= value <= high)}
    if "ITR" in scores and "ID2" in scores:
        gap = abs(scores["ITR"]["value"] - scores["ID2"]["value"])
        found["ITR-ID2"] = {"value": gap, "low": 0.0, "high": 0.25, "holds": gap <= 0.25}
    return found
