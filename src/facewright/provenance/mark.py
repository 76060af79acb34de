"""Sign what leaves the house, and say of any file whether it is genuine: C2PA manifests.

The manifest says that a trained model made a composite, with which software, under which records of consent, at
which head of the ledger; nobody may train on it. It names no person, no local path and no source file, and it
holds no thumbnail (one would show the face that was replaced). Signing comes last: any remux drops the manifest.
A manifest is not a hash of the file: padding bytes lie outside it.

An invisible watermark that survives re-encoding is a later issue.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

from facewright import __version__
from facewright.core.errors import FileRefused, TraceBroken
from facewright.core.files import part_file, write_atomic
from facewright.provenance.certificate import Identity, local_root
from facewright.provenance.moment import stamp

COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
CONSENT_LABEL = "org.facewright.consent"
MINING_LABEL = "cawg.training-mining"
MIMES = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".avi": "video/avi", ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg", ".png": "image/png", ".tif": "image/tiff", ".tiff": "image/tiff", ".webp": "image/webp",
}
"""Containers that carry their manifest inside."""
SIDECARS = {".mkv": "video/x-matroska", ".webm": "video/webm"}
"""Containers whose manifest lies beside them as `<stem>.c2pa`."""
_MININGS = ("cawg.ai_generative_training", "cawg.ai_inference", "cawg.ai_training", "cawg.data_mining")
_INGREDIENT = "target"


@dataclass(frozen=True, slots=True)
class Trace:
    """What a manifest says beyond what it always says. References and states only, never a name or a path.

    records: references of consent records. ledger: (seq, hash) of the head. binding: verified or unverified.
    gate: the content gate's verdicts. marks: visible marks in the picture.
    """

    records: Sequence[str]
    ledger: tuple[int, str]
    binding: str
    gate: Sequence[Mapping[str, Any]] = ()
    marks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a file's manifest proves.

    state: genuine = intact since it was signed; altered = changed afterwards; none = no trace.
    signer: "this machine", "unknown" (intact, but whose certificate it is cannot be told here), or "".
    actions: what was done, in order. facts: software, time, consent assertion. codes: the validator's failures.
    """

    state: Literal["genuine", "altered", "none"]
    signer: str = ""
    actions: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    codes: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """0 genuine, 1 altered, 3 no trace."""
        return {"genuine": 0, "altered": 1, "none": 3}[self.state]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: state, what it means in words, signer, actions, facts, codes."""
        return {
            "state": self.state, "meaning": self.meaning, "signer": self.signer, "actions": list(self.actions),
            "facts": dict(self.facts), "codes": list(self.codes),
        }

    @property
    def meaning(self) -> str:
        """One sentence for people."""
        if self.state == "genuine":
            known = self.signer == "this machine"
            return "Intact, signed on this machine." if known else "Intact, signer unknown here."
        return "Changed after it was signed." if self.state == "altered" else "No signature is found in or beside it."


def sidecar_of(path: Path) -> Path:
    """Where the manifest of a container that cannot carry one lies."""
    return path.with_suffix(".c2pa")


def sign(
    source: Path, target: Path, trace: Trace, identity: Identity, now: datetime, *, parent: Path | None = None
) -> Path:
    """Write `target` = `source` + manifest, aside, then renamed; returns the file that holds the manifest.

    `source` and `target` must differ. parent: the film that was worked on; recorded by hash, without name or
    picture (its own manifest is kept). Raises TraceBroken when signing fails: `target` is then not there.
    """
    mime = _mime(target)
    try:
        with part_file(target) as part, open(source, "rb") as src, open(part, "w+b") as dst:
            manifest = _sign(src, dst, mime, trace, identity, now, parent, embed=target.suffix.lower() in MIMES)
            if target.suffix.lower() in MIMES:
                return target
            # The sidecar first: a film without it would look unsigned, a sidecar without its film is only litter.
            write_atomic(sidecar_of(target), manifest)
            return sidecar_of(target)
    except _errors() as error:
        raise TraceBroken(
            f"{target.name} could not be signed.", why=_plain(error),
            remedy="Run `facewright doctor`, then render again.", where=target,
        ) from error


def verify_file(path: Path, root_pem: bytes | None = None) -> Verdict:
    """Read a file's manifest and compare. `root_pem`: the root to call ours (default: this machine's).

    Raises FileRefused when the file cannot be read.
    """
    root = root_pem if root_pem is not None else local_root()
    suffix, side = path.suffix.lower(), sidecar_of(path)
    mime = MIMES.get(suffix) or SIDECARS.get(suffix)
    if mime is None or (suffix in SIDECARS and not side.exists()):
        _readable(path)
        return Verdict("none")
    return _read(path, mime, side.read_bytes() if suffix in SIDECARS else None, root)


def _readable(path: Path) -> None:
    try:
        with open(path, "rb"):
            return
    except OSError as error:
        raise FileRefused(
            f"Cannot read {path.name}.", why=str(error.strerror or error), remedy="Check the path and its rights.",
            where=path,
        ) from error


def _read(path: Path, mime: str, manifest: bytes | None, root: bytes | None) -> Verdict:
    from c2pa import Reader

    _readable(path)
    trust = {"user_anchors": root.decode()} if root else {}
    with _context(trust) as context, open(path, "rb") as stream:
        try:
            reader = Reader.try_create(mime, stream, manifest, context=context)
        except _errors() as error:
            return _unreadable(path, error)
        if reader is None:
            return Verdict("none")
        with reader:
            store = json.loads(reader.json())
    state = store.get("validation_state")
    results = (store.get("validation_results") or {}).get("activeManifest") or {}
    codes = tuple(item["code"] for item in results.get("failure", ()))
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    if state not in ("Valid", "Trusted"):
        return Verdict("altered", codes=codes or ("manifest.unreadable",))  # what an altered manifest says is no fact
    actions, facts = _told(active)
    return Verdict("genuine", "this machine" if state == "Trusted" else "unknown", actions, facts, codes)


def _unreadable(path: Path, error: Exception) -> Verdict:
    """A manifest that cannot be parsed was damaged; a file that is no picture or film at all has no trace."""
    with open(path, "rb") as stream:
        damaged = any(b"jumb" in block or b"c2pa" in block for block in iter(lambda: stream.read(1 << 20), b""))
    return Verdict("altered" if damaged else "none", codes=(_plain(error),))


def _sign(
    src: IO[bytes], dst: IO[bytes], mime: str, trace: Trace, identity: Identity, now: datetime, parent: Path | None, *,
    embed: bool,
) -> bytes:
    from c2pa import Builder, C2paSignerInfo, Signer

    opened = parent is not None and parent.suffix.lower() in MIMES
    text = json.dumps(manifest_of(trace, now, mime, opened=opened))
    info = C2paSignerInfo(b"es256", identity.chain_pem, identity.key_pem, None)
    with _context({"user_anchors": identity.root_pem.decode()}) as context, Builder(text, context=context) as builder:
        if opened and parent is not None:
            about = {"title": "target film", "relationship": "parentOf", "label": _INGREDIENT}
            with open(parent, "rb") as stream:
                builder.add_ingredient(json.dumps(about), MIMES[parent.suffix.lower()], stream)
        if not embed:
            builder.set_no_embed()
        with Signer.from_info(info) as signer:
            manifest = builder.sign(signer, mime, src, dst)
    if not embed and os.fstat(dst.fileno()).st_size != os.fstat(src.fileno()).st_size:
        raise OSError("the signer did not copy the whole film")
    return bytes(manifest)


def manifest_of(trace: Trace, now: datetime, mime: str, *, opened: bool) -> dict[str, Any]:
    """The manifest's definition as plain data. opened: worked on a film that is added as an ingredient."""
    agent = {"name": "facewright", "version": __version__}
    edited = {"action": "c2pa.edited", "digitalSourceType": COMPOSITE, "softwareAgent": agent, "when": stamp(now),
              "description": "A face was replaced with the output of a trained model."}
    # Without an ingredient the first action must be `created`, and then it carries the source type too.
    first: dict[str, Any] = (
        {"action": "c2pa.opened", "parameters": {"ingredientIds": [_INGREDIENT]}} if opened
        else {"action": "c2pa.created", "digitalSourceType": COMPOSITE, "softwareAgent": agent}
    )
    consent = {
        "records": list(trace.records), "ledger": {"seq": trace.ledger[0], "head": trace.ledger[1]},
        "binding": trace.binding, "gate": [dict(v) for v in trace.gate], "marks": list(trace.marks),
    }
    return {
        "claim_generator_info": [agent], "title": "facewright film", "format": mime,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [first, edited, {"action": "c2pa.transcoded"}]}},
            {"label": MINING_LABEL, "data": {"entries": {name: {"use": "notAllowed"} for name in _MININGS}}},
            {"label": CONSENT_LABEL, "data": consent},
        ],
    }


def _told(manifest: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """(actions, facts) of a manifest, whoever made it."""
    found = {item.get("label", ""): item.get("data") for item in manifest.get("assertions", ())}
    actions = next((d for label, d in found.items() if label.startswith("c2pa.actions")), None) or {}
    done = actions.get("actions", [])
    made_by = [{k: i[k] for k in ("name", "version") if k in i} for i in manifest.get("claim_generator_info") or []]
    signer = manifest.get("signature_info") or {}
    facts: dict[str, Any] = {"software": made_by, "certificate": signer.get("common_name", "")}
    if any(action.get("digitalSourceType") == COMPOSITE for action in done):
        facts["made_by_trained_model"] = True
    facts["when"] = next((action["when"] for action in done if "when" in action), "")
    if CONSENT_LABEL in found:
        facts["consent"] = found[CONSENT_LABEL]
    return tuple(action.get("action", "") for action in done), facts


def _context(trust: Mapping[str, str]) -> Any:
    from c2pa import Context

    return Context.from_dict({"verify": {}, "trust": dict(trust), "builder": {"thumbnail": {"enabled": False}}})


def _errors() -> tuple[type[Exception], ...]:
    """What the C2PA library raises for files it cannot take. Disk errors are turned by `part_file`."""
    from c2pa import C2paError

    return (C2paError, ValueError)


def check_name(target: Path) -> None:
    """Raises FileRefused for a container that cannot be signed."""
    _mime(target)


def _mime(target: Path) -> str:
    suffix = target.suffix.lower()
    if suffix not in MIMES and suffix not in SIDECARS:
        raise FileRefused(
            f"A {suffix or 'nameless'} file cannot be signed.", why="facewright delivers signed files only.",
            remedy=f"Choose one of: {', '.join([*MIMES, *SIDECARS])}.", where=target,
        )
    return MIMES.get(suffix) or SIDECARS[suffix]


def _plain(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}."
