"""What the commands about runs print for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facewright.cli import made, show


def listed(rows: Sequence[Mapping[str, Any]]) -> None:
    """`model list`: a line a run."""
    if not rows:
        show.result("There are no models here yet: `facewright train quick96` (or `saehd`) makes one.")
        return
    heads = ["name", "net", "shape", "iteration", "loss src", "loss dst", "last trained (UTC)", "MB", "state"]
    show.table([[r["name"], r["net"], r["shape"], f"{r['iteration']:,}", _number(r["loss_src"]), _number(r["loss_dst"]),
                 when(r["last_trained"]), f"{r['bytes'] / 1e6:.1f}", r["damaged"] or r["state"] or r["learned"]]
                for r in rows], heads)


def known(run: Mapping[str, Any]) -> None:
    """`model info`: everything about one run."""
    show.result(f"{show.name_of(run['path'])}: {run['net']}, {run['learned']}, iteration {run['iteration']:,}, "
                f"{run['bytes'] / 1e6:.1f} MB" + (" (running)" if run["state"] else ""))
    pace, minutes, caches = run["s_per_iteration"], run["minutes"], run["bytes_of_caches"]
    times = (f"last {when(run['last_trained'])} UTC" if run["last_trained"] else "never",
             f"{minutes:,.1f} minutes" if minutes is not None else "", f"{pace:.3g} s an iteration" if pace else "")
    rows = {
        "shape": ", ".join(f"{k} {v}" for k, v in run["shape"].items()),
        "settings": ", ".join(f"{k} {v}" for k, v in run["changed"].items()) or "the defaults",
        "recipe": run["recipe"],
        "loss": "" if run["loss_src"] is None else show.losses(run["loss_src"], run["loss_dst"]),
        "trained": "; ".join(text for text in times if text),
        "machine": ", ".join(f"{k} {v}" for k, v in run["machine"].items()),
        "caches": f"{caches / 1e6:.1f} MB, made again when needed" if caches else "",
    }
    show.facts({f"  {key}": text for key, text in rows.items() if text})
    _people(run)
    _saves(run["saves"])
    show.result("history, newest last (all of it: `facewright model history`)")
    for row in run["history"]:
        show.result(f"  {_history_line(row)}")


def _people(known: Mapping[str, Any]) -> None:
    show.result("people and faces")
    if known["imported"]:
        show.result(f"  taken over from a model of {known['imported'].get('by')}, {known['imported'].get('name')}")
    for person in known["people"]:
        record = known["records"].get(person.get("consent"))
        said = f"{record['person'] or record['id']} ({record['state']} until {record['until']})" if record else (
            f"{str(person['consent'])[:19]}..., not kept here" if person.get("consent") else "found by the films")
        show.result(f"  {person.get('role')}: {person.get('person') or 'not named'}; record: {said}")
    for side, data in known["data"].items():
        of, digest = show.name_of(str(data.get("where", ""))), str(data.get("digest", ""))[:12]
        show.result(f"  {side}: {made.count(data.get('faces', 0), 'face')} of {of}, digest {digest}")


def _saves(saves: Sequence[Mapping[str, Any]]) -> None:
    show.result(f"saves ({len(saves)})")
    for save in saves:
        notes = [f"kept as {save['name']}" if save["name"] else "", "current" if save["current"] else "",
                 "" if save["whole"] else "without the optimiser's memory", f"{save['bytes'] / 1e6:.1f} MB"]
        loss = f"loss {_number(save['loss'])}"
        show.result(f"  {save['save']}  {when(save['at'])}  {loss}  {', '.join(n for n in notes if n)}")


def _history_line(row: Mapping[str, Any]) -> str:
    at = "" if row["iteration"] is None else f"iteration {row['iteration']:,}  "
    return f"{when(row['at'])}  {at}{row['what']}  {row['text']}".rstrip()


def compared(found: Mapping[str, Any]) -> None:
    """`model compare`: a column a run."""
    rows: list[list[str]] = [[name, *map(_cell, values)] for name, values in found["facts"].items()]
    for title in ("shape", "settings", "data", "machine"):
        kept = {n: v for n, v in found[title].items() if any(x not in (None, "") for x in v)}
        rows += [["", *[""] * len(found["runs"])], [f"{title}:", *[""] * len(found["runs"])]] if kept else []
        rows += [[f"  {name}", *map(_cell, values)] for name, values in kept.items()]
    rows.append(["snapshots", *[", ".join(names) or "-" for names in found["snapshots"]]])
    show.table(rows, ["", *found["runs"]])
    if not found["comparable"]:
        show.result("Their losses are of different kinds (net, resolution or settings of what is judged): "
                    "compare the previews, not the figures.")
    if found["plot"]:
        show.result(f"Curves: {show.name_of(found['plot'])}")


def _cell(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    if isinstance(value, float):
        return f"{value:.5g}"
    return "-" if value in (None, "") else f"{value:,}" if type(value) is int else str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def when(text: str) -> str:
    """A UTC stamp as a person reads it, `-` for none."""
    return text.replace("T", " ").removesuffix("Z") or "-"
