"""What a person reads when a stage has ended: what was made, where, what needs a look, and the next command."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from facewright.cli import show
from facewright.core.errors import FacewrightError, SettingRefused

MARKS = {
    "PREVIEW": (
        "PREVIEW is burnt into every frame: the net of the content check is not on this machine. "
        "`facewright weights fetch nsfwjs`, then render again."
    ),
    "TEST": "TEST is burnt into every frame: a licensed test clip is in it, which is not for distribution.",
}
"""Mark -> why it is in the picture."""
BINDINGS = {
    "verified": "the faces were compared with their records and match",
    "unverified": "the faces were not compared with their records (a record without a face, or no identity net here)",
}
"""State of the binding -> what it means."""
_UNCHANGED = {
    "no_face": "no face was found",
    "other_person": "only faces of other people",
    "profile_unaligned": "the face is turned too far to be aligned",
    "empty_mask": "the predicted mask is empty, or the face lies outside of the picture",
}


def summary(data: Mapping[str, Any]) -> None:
    """Print the summary of a stage that has ended, or of one that was sent to the background."""
    if "watch with" in data:
        show.result(f"Started {data['stage']} in the background (process {data['process']}).")
        following(str(data["watch with"]), f"facewright jobs stop {str(data['job'])[-6:]}")
        return
    texts = {"extract": lambda one: following(*extracted(one)), "train": _train, "merge": _merge, "render": _render}
    texts.get(str(data.get("stage")), show.facts)(data)


def outlook(data: Mapping[str, Any]) -> None:
    """Print what a training will take."""
    passes = f" in {data['accumulate']} passes" if data["accumulate"] > 1 else ""
    show.result(
        f"{data['net']} on {data['device']}, batch {data['batch']}{passes}: {data['seconds']:.2f} s an iteration"
        f" ({data['processor_seconds']:.2f} s of processor time)"
        + (f", each of {data['processes']} processes; what they tell each other comes on top"
           if data["processes"] > 1 else "")
    )
    if data["peak_bytes"]:
        gib = 1 << 30
        show.result(
            f"memory  {data['peak_bytes'] / gib:.2f} GiB: {data['fixed_bytes'] / gib:.2f} fixed and"
            f" {data['face_bytes'] / (1 << 20):.0f} MiB a face; {data['free_bytes'] / gib:.1f} GiB are free, enough for"
            f" batches up to {data['largest_batch']}"
        )
    show.result("time    " + ", ".join(
        f"{int(n):,} iterations " + (f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:.1f} min")
        for n, hours in data["hours"].items()))
    if "iterations" in data:
        show.result(f"        {data['iterations']:,} iterations in the minutes given")


def following(*commands: str) -> None:
    """The command to run next, and others under it."""
    for place, command in enumerate(commands):
        show.result(("Next:  " if not place else "       ") + command)


def look_at(faceset: Any) -> str:
    """The command that draws some of a set's faces on one sheet."""
    return f"facewright faces sheet {quoted(faceset)} {shlex.quote(Path(str(faceset)).name + '.png')} -n 120"


def options(given: Mapping[str, Any], **others: Any) -> str:
    """Options as one types them, each with a blank before it: for a hint that is to do the same as this command did.

    Those that are empty or off are left out of `others`, never out of `given`, what the user typed.
    """
    words = list[str]()
    for name, value in [*others.items(), *given.items()]:
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words += [f"--{option}"] if value else [f"--no-{option}"] if name in given else []
        elif name in given or value:
            words += [f"--{option}", shlex.quote(str(value))]
    return "".join(f" {word}" for word in words)


def quoted(path: Any) -> str:
    """A path as one types it here."""
    return shlex.quote(show.name_of(str(path)))


def in_project(path: Any) -> bool:
    """Whether `path` belongs to the project around the working folder, so that paths may be left out."""
    from facewright.project import find

    try:
        project = find(Path.cwd())
    except FacewrightError:
        return False
    return project is not None and project.root in Path(str(path)).resolve().parents


def sure(question: str, yes: bool, as_json: bool) -> None:
    """Ask at a terminal; elsewhere --yes must have been said. Raises SettingRefused."""
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise SettingRefused("This must be confirmed.", why=question, remedy="Give --yes.", where="--yes")
    typer.confirm(question, abort=True, err=True)


def count(number: int, one: str, many: str = "") -> str:
    """`1 face`, `1,200 faces`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def summaries(many: Sequence[Mapping[str, Any]]) -> None:
    """The same for several extractions at once: each next command is named once, at the end."""
    if any("watch with" in data for data in many):
        for data in many:
            summary(data)
        return
    following(*dict.fromkeys([command for data in many for command in extracted(data)]))


def extracted(data: Mapping[str, Any]) -> list[str]:
    """Print what an extraction made; returns the commands to run next."""
    faceset, people = data["faceset"], data.get("people") or []
    of = f" of {count(len(people), 'person', 'people')}" if people else ""
    show.result(
        f"{count(data['faces'], 'face')}{of} in {show.name_of(faceset)} ({data['face_type']}, {_sides(data)} px)"
    )
    there = set(data.get("already_there") or ())
    for name, facts in (data.get("films") or {}).items():
        show.result(f"  {name}: {_film(facts)}" + (" (was there already)" if name in there else ""))
    if data.get("person"):
        _kept(data["person"])
    if len(people) > 1:
        show.result(f"  people: {', '.join(people)}; name the one to use with --src-person, --dst-person or --person.")
    return onward(data)


def onward(data: Mapping[str, Any]) -> list[str]:
    """Print whose consent covers a set that was filled; returns the commands that go on with it."""
    faceset, people, record = data["faceset"], list(data.get("people") or ()), data.get("record")
    if record is None:
        role = "target_performer" if Path(str(faceset)).name == "dst" else "source_likeness"
        show.result("Consent: none yet; training and merging refuse without a record.")
        look = f"facewright faces people sheet {quoted(faceset)} PEOPLE.png"
        who = options({}, person=people[0] if len(people) > 1 else "")
        record = f"facewright consent new --faceset {quoted(faceset)}{who} --role {role}"
        return [look, record] if len(people) > 1 else [record]
    show.result(f"Consent: covered by the record of {record['person'] or record['id']} ({record['state']}).")
    return ["facewright train quick96" if in_project(faceset) else f"facewright faces review {quoted(faceset)}"]


def _sides(data: Mapping[str, Any]) -> str:
    """`512`, or `256..784` where faces have sides of their own."""
    sides = sorted(int(side) for side in data.get("sides_px") or (data["side_px"],))
    return f"{sides[0]}..{sides[-1]}" if len(sides) > 1 else str(sides[0] if sides else data["side_px"])


def _kept(facts: Mapping[str, Any]) -> None:
    """Who alone stayed of an extraction."""
    if facts["nobody"]:
        show.result(f"  Nobody there is sure to be {show.name_of(facts['like'])}: all faces stay.")
        return
    back = f"; `facewright faces trash restore FACESET {facts['trash'].partition('-')[0][-6:]}` brings them back"
    show.result(f"  {count(facts['kept'], 'face')} kept by --person, {facts['out']:,} of others in the trash"
                + (back if facts["out"] else ""))
    if facts["doubtful"]:
        show.result(f"  Nothing can be said of {', '.join(facts['doubtful'])}: they stay; look at them "
                    "(`facewright faces people sheet`).")


def _film(facts: Mapping[str, Any]) -> str:
    bits = [f"{count(facts['faces'], 'face')} in {count(facts['frames'], 'frame')}"]
    rescued = (facts.get("second_look") or {}).get("found", 0)
    if rescued:
        bits.append(f"{count(rescued, 'frame')} at the second look")
    shots = len(facts.get("shots") or ())
    if shots > 1:
        bits.append(f"{shots:,} shots")
    missing = facts.get("frames_without_face", 0)
    if missing:
        why = ", ".join(f"{reason} {number}" for reason, number in facts["reasons"].items())
        bits.append(f"{count(missing, 'frame')} without a face ({why})")
    if facts.get("left_out"):
        bits.append(f"{count(facts['left_out'], 'face')} left out")
    if facts.get("damaged"):
        bits.append(f"{count(len(facts['damaged']), 'damaged frame')}")
    return "; ".join(bits)


def _train(data: Mapping[str, Any]) -> None:
    run = Path(str(data["output"]))
    done = count(data["iterations"], "iteration")
    if data.get("it_per_s"):
        losses = show.losses(data["loss_src"], data["loss_dst"]) if data.get("loss_src") else ""
        pace = f"{data['minutes']:.1f} minutes in all, {1 / data['it_per_s']:.2g} s an iteration"
        show.result(f"Trained {data['net']} up to {done} ({pace}); {losses}.")
    else:
        show.result(f"Nothing to train: {show.name_of(run)} has its {done} already.")
        show.result("  --iterations and --minutes count from the run's beginning: raise them to go on (0 = no end).")
    show.facts({"  model": show.name_of(run), "  preview": show.name_of(data["preview"]),
                "  curve": show.name_of(run / "loss.png")})
    if data["net"] == "xseg":
        following(f"facewright mask apply FACESET --with {quoted(run)}")
    else:
        following("facewright merge" if in_project(run) else f"facewright merge INPUT FACESET {quoted(run)} OUT")


def _merge(data: Mapping[str, Any]) -> None:
    show.result(f"Merged {show.name_of(data['out'])}: a face replaced in {data['swapped']:,} of "
                f"{count(data['frames'], 'frame')}.")
    if data.get("run"):
        show.result(f"  film {show.name_of(data['input'])}, faces {show.name_of(data['faceset'])}, "
                    f"model {show.name_of(data['run'])}")
    if data.get("unchanged"):
        why = "; ".join(f"{_UNCHANGED.get(reason, reason)}: {n:,}" for reason, n in data["reasons"].items())
        show.result(f"  {count(data['unchanged'], 'frame')} unchanged ({why})")
    for text in data.get("warnings") or ():
        show.result(f"  {text}")
    inside = in_project(data["out"])
    following("facewright render" if inside else
              f"facewright render {quoted(data['out'])} FILM.mp4 --audio-from INPUT")


def _render(data: Mapping[str, Any]) -> None:
    show.result(f"Film: {show.name_of(data['film'])} ({count(data['frames'], 'frame')}, signed)")
    for mark in data.get("marks") or ():
        show.result(f"  {MARKS.get(mark, f'{mark} is burnt into every frame.')}")
    states = {"hits_below_rule": "single hits, below the limit", "unscreened": "not looked at, its net is not here"}
    show.result(f"  content check: {', '.join(states.get(s, s) for s in data.get('content_gate') or ())}")
    show.result(f"  consent: {BINDINGS.get(str(data.get('binding')), data.get('binding'))}")
    for text in data.get("notes") or ():
        show.result(f"  note: {text}")
    following(f"facewright verify {quoted(data['film'])}")
