"""What a merge did, counted, and sentences where something needs the user's eye (G222, G281)."""

from __future__ import annotations

from collections import Counter
from typing import Any

REASONS: dict[str, str] = {
    "no_face": "no face was found",
    "other_person": "only faces of other people",
    "profile_unaligned": "the face is turned too far to be aligned",
    "empty_mask": "the predicted mask is empty, or the face lies outside of the picture",
}
"""Why a frame passes unchanged, in the user's words."""

UNTRAINED_MASK = 0.01
"""A net that has learned anything covers more of the face square than this."""


def spans_of(indices: list[int]) -> list[list[int]]:
    """Sorted numbers as inclusive [first, last] spans."""
    spans: list[list[int]] = []
    for index in sorted(indices):
        if spans and spans[-1][1] == index - 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return spans


def summarise(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over all chunks, and sentences where something needs the user's eye (G222, G281)."""
    total, swapped = sum(c["stop"] - c["start"] for c in chunks), sum(c["swapped"] for c in chunks)
    faces = sum(c["faces"] for c in chunks)
    reasons: Counter[str] = Counter()
    for chunk in chunks:
        for reason, spans in chunk["reasons"].items():
            reasons[reason] += sum(b - a + 1 for a, b in spans)
    mask = sum(c["mask_sum"] for c in chunks) / faces if faces else 0.0
    damaged = sum(b - a + 1 for c in chunks for a, b in c["damaged"])
    warnings = []
    if faces and mask < UNTRAINED_MASK:
        warnings.append(
            "Nothing was swapped: the predicted masks are empty in every face. The model is untrained or the wrong "
            "one for this film; train it further, or give another RUN."
        )
    elif not swapped and total:
        named = "; ".join(f"{REASONS[r]} ({n} frames)" for r, n in reasons.most_common())
        warnings.append(f"Nothing was swapped: {named}.")
    if damaged:
        warnings.append(f"{damaged} damaged frames were passed through.")
    return {
        "frames": total, "swapped": swapped, "faces": faces, "unchanged": total - swapped, "reasons": dict(reasons),
        "mean_mask": round(mask, 4), "damaged": damaged, "warnings": warnings,
    }
