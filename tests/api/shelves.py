"""Runs of tiny nets whose people have given their consent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.models.folders import TINY, tiny

from facewright import api
from facewright.models import checkpoint
from facewright.models.run_folder import RunFolder

USE = "Film A, scene 12: her face on the stunt double on the roof."
ALL = ("train", "preview", "merge", "export_model")


def record(name: str, *, uses: tuple[str, ...] = ALL, role: str = "source_likeness") -> str:
    """A person's record of consent; its reference."""
    made = api.consent_new(who="adult", use=USE, proof="now", adult_agreed=True, name=name, role=role, uses=uses)
    return str(made["reference"])


def entry(reference: str, role: str = "source_likeness") -> dict[str, Any]:
    """A person as a run remembers them."""
    return {"role": role, "consent": reference, "person": "", "where": "/nowhere", "footage_sha256": []}


def make_run(place: Path, case: str, people: list[dict[str, Any]]) -> Path:
    """A run of 7 iterations whose running mean is not its weights."""
    net = tiny(case)
    folder = RunFolder.create(place, net.name, TINY[case], {"likenesses": people})
    mean = {n: (p * 0.9 if p.ndim > 1 else p).detach().clone() for n, p in net.named_parameters()}
    checkpoint.save(folder.path, 7, net, None, mean, net_name=net.name)
    return place
