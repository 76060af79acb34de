"""What commands that only look print for a person: facesets, films, the ledger, jobs, nets."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from facewright.cli import made, show

_WIDTH = 110
_FLAGS = {
    "box_too_small": "box and points disagree: the full-face crop is over four times the detector's box",
    "crop_leaves_frame": "the crop reaches beyond the picture's edge",
    "cut_off": "the face reaches out of the picture",
    "five_points": "points placed by the detector's five; coarse",
    "low_presence": "the landmark net doubts that it is a face; points not to be relied on",
    "low_score": "the detector is less sure than usual",
    "mesh_from_points": "another program found it: mesh and pose follow from its 68 points",
    "no_frame": "it does not say where in its frame it lies: it trains, but cannot be merged",
    "obstructed": "a hand or thing is before it",
    "other_detector": "found by the second look's other detector only",
    "parked": "training leaves it out, merging uses it (`faces unpark` undoes it)",
    "passes_disagree": "two passes of the landmark net disagree; look at its points",
    "points_disagree": "its points in the picture and in the frame do not fit each other",
    "position_jump": "its place jumps against its track",
    "profile": "turned so far that the far side is unsure",
    "profile_unaligned": "turned too far to be aligned; passes unchanged in the merge",
    "second_look": "found by the second look only",
    "size_jump": "its size jumps against its track",
}
_GATE = {
    "clear": "clear", "hits_below_rule": "single hits, below the limit", "refused": "refused",
    "unscreened": "not looked at (the net was not at hand)",
}


def faceset(info: Mapping[str, Any]) -> None:
    """`faces info`: the whole in a few lines, then films, flags, poses."""
    people = [name for name in info["persons"] if name]
    of = f" of {made.count(len(people), 'person', 'people')}" if people else ""
    show.result(f"{show.name_of(info['path'])}: {made.count(info['count'], 'face')}{of} in "
                f"{made.count(info['frames'], 'frame')}, {info['bytes'] / 1e6:.1f} MB")
    sharp = info["sharpness"]
    rows = {
        "crops": ", ".join(f"{n:,} {kind}" for kind, n in info["face_types"].items()) + "; "
                 + ", ".join(f"{n:,} of {side} px" for side, n in info["sides_px"].items()),
        "per frame": ", ".join(f"{made.count(int(k), 'face')}: {made.count(n, 'frame')}"
                               for k, n in info["faces_per_frame"].items()),
        "people": ", ".join(f"{name or 'nobody named'} ({n:,})" for name, n in info["persons"].items()),
        "consent": _consent(info),
        "sharpness": f"lowest {sharp['0']:.0f}, middle {sharp['0.5']:.0f}, highest {sharp['1']:.0f} "
                     "(larger = sharper; compare within a film)" if sharp else "",
        "labels": f"{info['labels']:,} faces with drawn labels, {info['masks']:,} with a mask",
    }
    show.facts({f"  {key}": text for key, text in rows.items() if text})
    show.result("films")
    for source in info["sources"]:
        show.result(f"  {_source(source)}")
    if info["flags"]:
        show.result("flags")
        show.facts({f"  {flag}": f"{n:,}  {_FLAGS.get(flag, '')}".rstrip() for flag, n in info["flags"].items()})
    for path, why in info["damaged"]:
        show.result(f"damaged: {path}: {why}")
    if info["doubled"]:
        show.result(f"doubled: {made.count(info['doubled'], 'file')} passed over, being copies of other faces")
    coverage(info)


def _consent(info: Mapping[str, Any]) -> str:
    record, single = info.get("record"), info["consents"]
    if single and record is None:
        names = {ref: (row["person"] or row["id"]) + f" ({row['state']})" for ref, row in info["records"].items()}
        return ", ".join(f"{names.get(ref, 'a record that is not kept here')}: {n:,}" for ref, n in single.items())
    if record is None and info["consent"]:
        return f"names a record that is not kept here ({str(info['consent'])[:23]}...)"
    if record is None:
        return f"none: `facewright consent new --faceset {made.quoted(info['path'])}`"
    how = "named by the faceset" if info["consent"] else "found by its films"
    return f"{record['person'] or record['id']} ({record['state']} until {record['until']}; {how})"


def _source(source: Mapping[str, Any]) -> str:
    bits = [f"{source['file']}: {made.count(source['faces'], 'face')} in "
            f"{made.count(source['frames_with_face'], 'frame')}"]
    if source["faces"]:
        bits.append(f"frames {source['first_frame']}..{source['last_frame']}")
    missing = (source.get("facts") or {}).get("frames_without_face")
    if missing:
        reasons = source["facts"].get("reasons", {})
        bits.append(f"{missing:,} without a face ({', '.join(f'{why} {n}' for why, n in reasons.items())})")
    if not source["done"]:
        bits.append("not finished: run the same `facewright extract` again")
    return "; ".join(bits)


def coverage(info: Mapping[str, Any]) -> None:
    """The table of poses: a column per span of yaw, a row per span of pitch, empty ones at the rim left out."""
    grid, yaw, pitch = info["coverage"], info["yaw_edges_deg"], info["pitch_edges_deg"]
    rows = [p for p, row in enumerate(grid) if any(row)]
    columns = [y for y in range(len(yaw) - 1) if any(row[y] for row in grid)]
    if not rows:
        return
    show.result("poses (faces per span of degrees; yaw > 0: nose to the picture's right, pitch > 0: looks down)")
    across = range(columns[0], columns[-1] + 1)
    heads = [f"{yaw[y]}..{yaw[y + 1]}" for y in across]
    table = [(f"{pitch[p]}..{pitch[p + 1]}", [f"{grid[p][y]:,}" if grid[p][y] else "." for y in across])
             for p in range(rows[0], rows[-1] + 1)]
    width = max(7, *map(len, heads))
    show.result(f"  {'pitch | yaw':>11}  " + " ".join(head.rjust(width) for head in heads))
    for name, cells in table:
        show.result(f"  {name:>11}  " + " ".join(cell.rjust(width) for cell in cells))


def verdict(file: Any, found: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> None:
    """`verify`: what the file proves in sentences, then details. known: rows of consent records by reference."""
    name, facts = show.name_of(file), found["facts"]
    if found["state"] == "none":
        show.result(f"{name} carries no trace: no signature is found in it or beside it.")
        show.result("That proves nothing about the picture: traces can be removed, and most films never had one.")
        return
    if found["state"] == "altered":
        show.result(f"{name} was ALTERED after it was signed; nothing that its signature says can be relied on.")
        show.facts({"  reasons": ", ".join(found["codes"])})
        return
    whose = ("on this machine" if found["signer"] == "this machine"
             else "by a signer that this machine does not know (anybody can make such a certificate)")
    show.result(f"{name} is genuine: unchanged since it was signed {whose}.")
    software = ", ".join(f"{s.get('name', '?')} {s.get('version', '')}".strip() for s in facts.get("software") or ())
    if facts.get("made_by_trained_model"):
        show.result(f"A face in it was made by a trained model ({software}).")
    consent = facts.get("consent") or {}
    if consent:
        _consent_said(consent, known)
    show.result("details")
    ledger = consent.get("ledger") or {}
    rows = {
        "made": f"{facts.get('when', '')} with {software}", "certificate": facts.get("certificate", ""),
        "actions": ", ".join(found["actions"]),
        "ledger": f"entry {ledger['seq']}, {str(ledger['head'])[:16]}" if ledger else "",
    }
    show.facts({f"  {key}": text for key, text in rows.items() if text})


def _consent_said(consent: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> None:
    records = consent.get("records") or []
    binding = str(consent.get("binding", ""))
    show.result(f"It names {made.count(len(records), 'record')} of consent; {made.BINDINGS.get(binding, binding)}.")
    for reference in records:
        row = known.get(reference)
        text = f"{row['person'] or row['id']}, {row['role']}, {row['state']}" if row else "not kept on this machine"
        show.result(f"  {reference[:23]}...  {text}")
    looked = ", ".join(f"{v.get('subject')}: {_GATE.get(str(v.get('state')), v.get('state'))}"
                       for v in consent.get("gate") or ())
    show.result(f"Content check: {looked or 'none'}.")
    for mark in consent.get("marks") or ():
        show.result(made.MARKS.get(mark, f"{mark} is burnt into every frame."))


def ledger(entries: Sequence[Mapping[str, Any]]) -> None:
    """`ledger show`: a sentence per entry."""
    show.table([[e["seq"], str(e["ts"]).replace("T", " ").removesuffix("Z"), e["type"], _entry(e)] for e in entries],
               ["no", "time (UTC)", "what", "about"])
    if entries:
        show.result("Whole entries: `facewright ledger show --json`; check the chain: `facewright ledger verify`.")


def _entry(entry: Mapping[str, Any]) -> str:
    body, kind = entry["body"], entry["type"]
    if kind == "genesis":
        return f"begins the ledger of {body.get('project', '')}"
    if kind in ("consent.added", "consent.revoked", "faceset.bound"):
        how = [str(body[key]) for key in ("reason", "binding") if key in body]
        return ", ".join([f"record {str(body.get('record', ''))[:19]}", *how])
    if kind in ("train.run", "merge.run", "faces.exported", "faces.packed"):
        result = body.get("result") or {}
        names = ("iterations", "frames", "swapped", "unchanged", "exported")
        counts = ", ".join(f"{k} {result[k]}" for k in names if k in result)
        return f"{body.get('stage')} {body.get('state')}" + (f": {counts}" if counts else "") + f" (job {_short(body)})"
    if kind == "gate.verdict":
        said = ", ".join(f"{v.get('subject')} {v.get('state')}" for v in body.get("verdicts") or ())
        return f"content check: {body.get('refused') or said}"
    if kind == "output.signed":
        if not body.get("signed"):
            return f"NOT signed: {body.get('why', '')}"
        marks = f", marked {' '.join(body['marks'])}" if body.get("marks") else ""
        return f"film of {body.get('frames')} frames, sha256 {str(body.get('sha256', ''))[:12]}{marks}"
    return ", ".join(f"{k} {str(v)[:24]}" for k, v in body.items())[:100]


def _short(body: Mapping[str, Any]) -> str:
    return str(body.get("job", ""))[-6:]


def ledger_report(report: Mapping[str, Any]) -> None:
    """`ledger verify`."""
    name = show.name_of(report["ledger"])
    if report["state"] == "whole":
        show.result(f"The ledger is whole: {made.count(report['entries'], 'entry', 'entries')}, every link fits.")
    else:
        show.result(f"The ledger is BROKEN at entry {report['broken at']}: it was changed, or entries are missing.")
    show.facts({"  file": name, "  signed heads": report["signed heads"], "  recovered gaps": report["recovered gaps"],
                "  last entry": report["head"]})


def jobs(rows: Sequence[Mapping[str, Any]]) -> None:
    """`jobs list`: short ids, newest last."""
    if not rows:
        show.result("There are no jobs here yet.")
        return
    table = [[r["id"][-6:], r["stage"], r["state"], r["progress"] or "-",
              str(r["created"]).replace("T", " ").removesuffix("Z"), show.name_of(r["output"])] for r in rows]
    show.table(table, ["id", "stage", "state", "progress", "started (UTC)", "output"])
    if any(r["state"] in ("interrupted", "stopped") for r in rows):
        show.result("Go on with one: `facewright jobs resume ID`, or the command that started it.")


def weights(rows: Sequence[Mapping[str, Any]]) -> None:
    """`weights list`: which are here, then each with its licence and what is known about it."""
    here = [row for row in rows if row["path"]]
    show.result(f"{len(here)} of {made.count(len(rows), 'net')} are on this machine.")
    for row in rows:
        show.result("")
        show.result(f"{row['name']}  {'here' if row['path'] else 'NOT HERE'}  {row['bytes'] / 1e6:.1f} MB")
        details = {
            "for": row["used_for"], "licence": f"{row['licence']}. {row['licence_note']}".rstrip(". ") + ".",
            "trained on": row["training_data"], "reservations": row["reservations"] or "none known",
            "file": row["path"] or row["file"], "sha256": row["sha256"],
        }
        for key, text in details.items():
            show.result(textwrap.fill(str(text), _WIDTH, initial_indent=f"  {key:<13}", subsequent_indent=" " * 15,
                                      break_long_words=False, break_on_hyphens=False))
    if len(here) < len(rows):
        show.result("")
        made.following("facewright weights fetch [NAME ...]")
