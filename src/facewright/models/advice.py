"""What to tell a user of a model before time is lost: pure functions of settings and facts, no file is opened.

Each returns an Advice or None. `refuse`: going on as it is would be for nothing; else it is a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from facewright.core.settings import Settings
from facewright.models.settings import auto_d_mask_dims, split_archi

Learned = Literal["new", "pretrained", "trained", "trained on a pretrained one"]

_PROPORTIONS: Mapping[str, Mapping[str, int]] = {
    "saehd": {"ae_dims": 256, "e_dims": 64, "d_dims": 64}, "amp": {"ae_dims": 256, "inter_dims": 1024, "d_dims": 64},
}
"""The original's defaults: dims of this proportion are what the advice of its users grew on."""
_OUT_OF_PROPORTION = 2.5
"""Between the dimension raised most and the one raised least; 2 is common and harmless (512, 64, 64)."""
_SMALL_DIMS = 32
"""Decoders below it learn two people from nothing within minutes: the quick recipes, measured."""
_STYLES = ("face_style_power", "bg_style_power")


@dataclass(frozen=True, slots=True)
class Advice:
    """One sentence or two. `row` is the row of the feature list that asks for it."""

    row: str
    text: str
    refuse: bool = False


def learned(starts: Sequence[Mapping[str, Any]], iteration: int, imported: Mapping[str, Any] | None = None) -> Learned:
    """Pretrained or trained (G227)? starts: events of kind "start" in the run's history, oldest first, each with its
    `settings`; imported: what run.json says of a model taken over (its `options`)."""
    before = [bool(dict((imported or {}).get("options") or {}).get("pretrain"))] if imported else []
    phases = before + [bool(dict(s.get("settings") or {}).get("pretrain")) for s in starts]
    left = "pretraining" in " ".join(str(n) for n in (imported or {}).get("notes", []))
    if phases and phases[-1]:
        return "pretrained"
    if any(phases) or left:
        return "trained on a pretrained one"
    return "trained" if iteration else "new"


def without_pretraining(net: str, shape: Settings, state: Learned) -> Advice | None:
    """G230: the letter d and AMP learn slowly, or never well, from nothing. `state`: what the run is now."""
    if state not in ("new", "trained"):
        return None
    if net == "saehd" and getattr(shape, "d_dims", 0) < _SMALL_DIMS:
        return None
    with_d = net == "saehd" and "d" in split_archi(str(getattr(shape, "archi", "df")))[1]
    if not with_d and net != "amp":
        return None
    what = "AMP" if net == "amp" else f"A {getattr(shape, 'archi', '')} net (letter d)"
    return Advice("G230", f"{what} without pretraining learns slowly and may stay soft: begin with --pretrain SET, or "
                          "from a pretrained model (`facewright model copy`).")


def out_of_proportion(net: str, shape: Settings) -> Advice | None:
    """G190: one dimension raised or lowered far more than the others costs memory and time and gives little."""
    usual = _PROPORTIONS.get(net)
    if usual is None:
        return None
    shares = {name: getattr(shape, name) / value for name, value in usual.items()}
    most, least = max(shares, key=lambda n: shares[n]), min(shares, key=lambda n: shares[n])
    texts = []
    if shares[most] / shares[least] >= _OUT_OF_PROPORTION:
        fitting = round(usual[least] * shares[most] / 2) * 2
        texts.append(f"{most} {getattr(shape, most)} is large beside {least} {getattr(shape, least)}: in proportion "
                     f"{least} would be {fitting}")
    if net == "amp" and getattr(shape, "inter_dims") < getattr(shape, "ae_dims"):  # noqa: B009
        texts.append("inter_dims should not be smaller than ae_dims")
    d_dims, mask = getattr(shape, "d_dims"), getattr(shape, "d_mask_dims")  # noqa: B009
    if mask > max(d_dims, auto_d_mask_dims(d_dims)):
        texts.append(f"d_mask_dims {mask} is larger than d_dims {d_dims}: a third of it is enough for a mask")
    return Advice("G190", "; ".join(texts).capitalize() + ".") if texts else None


def without_masks(
    face_type: str, settings: Mapping[str, Any], masked_src_01: float, masked_dst_01: float
) -> Advice | None:
    """G153: whole_face, head and style powers rely on applied masks. masked_*_01: share of each side's faces that
    carry one."""
    bare = [n for n, share in (("source", masked_src_01), ("target", masked_dst_01)) if share < 1]
    if not bare:
        return None
    sides = " and ".join(bare)
    share = min(masked_src_01, masked_dst_01)
    how_many = "carry no applied masks" if share == 0 else f"carry applied masks in part ({share:.0%})"
    remedy = "Apply them: `facewright mask apply FACESET --with RUN`."
    styles = [n for n in _STYLES if float(settings.get(n) or 0) > 0]
    if face_type == "head" and settings.get("masked_training", True):
        return Advice("G153", f"Faces of the {sides} {how_many}; a head without one is cut off at the brows. {remedy}",
                      refuse=share == 0)
    if styles:
        names = " and ".join("--" + n.replace("_", "-") for n in styles)
        return Advice("G153", f"{names} works inside the mask, and faces of the {sides} {how_many}. {remedy}",
                      refuse=share == 0)
    if face_type == "whole_face":
        return Advice("G153", f"Faces of the {sides} {how_many}: their masks end at the brows, the forehead of the "
                              f"whole_face net stays loose. {remedy}")
    return None


def masks_of_two_models(src: Mapping[str, int], dst: Mapping[str, int]) -> Advice | None:
    """G152: masks of both sides are made by one and the same mask model. src, dst: what made the masks -> faces, ""
    for faces without one (which count for G153)."""
    makers = [{maker for maker, count in side.items() if maker and count} for side in (src, dst)]
    if len(makers[0] | makers[1]) <= 1:
        return None
    said = [f"{side}: {', '.join(sorted(m)) or 'none'}" for side, m in zip(("source", "target"), makers)]
    return Advice("G152", f"The masks come from different mask models ({'; '.join(said)}): edges will not agree. Apply "
                          "one to both sides with `facewright mask apply`.")


def other_faces(
    run: str, net: str, shape: Settings, before: Mapping[str, Any], now: Mapping[str, Any], random_warp: bool
) -> Advice | None:
    """G173: the faces of a side were exchanged under a trained model: what to reset, what to switch on.

    before, now: side ("src", "dst") -> {"digest", "person", "faces"}, as run.json keeps them. The run keeps its
    history; nothing is reset here.
    """
    texts, network = [], _networks(net, shape)
    for side, who in (("src", "source"), ("dst", "target")):
        old, new = dict(before.get(side) or {}), dict(now.get(side) or {})
        if not old or old.get("digest") == new.get("digest"):
            continue
        if old.get("person") and old.get("person") == new.get("person"):
            texts.append(f"the {who}'s faces are other ones of the same person: nothing to reset")
        else:
            reset = f"`facewright model reset {run} {network[side]}`" if network[side] else "nothing can be reset"
            texts.append(f"the {who}'s faces are others: for another person {reset}")
    if not texts:
        return None
    warp = "" if random_warp else " Train with --random-warp until the loss is flat again."
    text = "; ".join(texts)
    return Advice("G173", f"{text[0].upper()}{text[1:]}. The run keeps what it has learned and its history.{warp}")


def _networks(net: str, shape: Settings) -> Mapping[str, str]:
    """Side -> the net that holds that person's looks, "" where none does."""
    if net == "amp":
        return {"src": "inter_src", "dst": "inter_dst"}
    if net not in ("saehd", "quick96"):
        return {"src": "", "dst": ""}
    if split_archi(str(getattr(shape, "archi", "df")))[0] == "liae":
        return {"src": "inter_AB", "dst": "inter_B"}
    return {"src": "decoder_src", "dst": "decoder_dst"}
