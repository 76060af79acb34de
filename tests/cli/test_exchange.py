"""`model import-dfl | export-dfl | export-dfm | import-dfm` as people type them; and training that goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from tests.models.folders import options_of, write

from facewright import demo
from facewright.models import checkpoint
from facewright.models.run_folder import RunFolder
from facewright.training import history

NOW = ("--who", "adult", "--adult", "--use", "Film A, scene 12: her face on the stunt double on the roof.",
       "--proof", "now", "--uses", "train,preview,merge,export_model")  # fmt: skip


def folder(place: Path) -> Path:
    data = {"iter": 9, "options": options_of("saehd"), "loss_history": [[0.5, 0.25]] * 9,
            "sample_for_preview": [[np.zeros((1, 8, 8, 3), np.float32)]]}
    return write(place, "saehd", data=data)


def test_in_and_out(cli, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "dfl")
    error = refused("model", "import-dfl", "dfl", "run")
    assert "--record" in error["remedy"]
    assert cli("consent", "new", *NOW, "--name", "Ada").code == 0
    said = cli("model", "import-dfl", "dfl", "run", "--record", "Ada")
    assert said.code == 0, said
    assert "Took over ada (saehd, iteration 9) as run" in said.out
    assert "preview were left out" in said.out
    assert "facewright train saehd run" in said.out
    refused("model", "import-dfl", "dfl", "run", "--record", "Ada")
    refused("model", "import-dfl", "nowhere", "run2", "--record", "Ada")
    said = cli("model", "export-dfm", "run", "a.dfm")
    assert said.code == 0, said
    assert "checked: differs" in said.out
    assert cli("model", "export-dfm", "run", "h.dfm", "--half", "--json").json()["difference"] <= 1e-2
    refused("model", "export-dfm", "run", "a.dfm")
    said = cli("model", "export-dfl", "run", "out", "--name", "eva")
    assert "Wrote 6 files in out" in said.out, said
    refused("model", "export-dfl", "run", "out", "--name", "e_va")
    assert "says itself" in refused("model", "import-dfm", "a.dfm", "--record", "Ada")["what"]
    foreign = onnx.load(tmp_path / "a.dfm")
    del foreign.metadata_props[:]
    (tmp_path / "a.dfm").write_bytes(foreign.SerializeToString())
    said = cli("model", "import-dfm", "a.dfm", "--record", "Ada", "--face-type", "f")
    assert "a.dfm.facewright.json" in said.out
    assert json.loads((tmp_path / "a.dfm.facewright.json").read_text())["face_type"] == "full_face"
    refused("model", "import-dfm", "a.dfm")


def test_training_goes_on_with_the_memory_of_the_optimiser(cli, refused, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "dfl")
    assert cli("consent", "new", *NOW, "--name", "Ada").code == 0
    assert cli("model", "import-dfl", "dfl", "run", "--record", "Ada").code == 0
    reference = RunFolder.open(tmp_path / "run").extra["likenesses"][0]["consent"]
    words = ("--src", world.src, "--dst", world.dst, "--precision", "float32", "--threads", "1", "--batch-size", "2")
    said = cli("train", "saehd", "run", *words, "--iterations", "10")
    assert said.code == 0, said
    saved = checkpoint.load_latest(tmp_path / "run")
    assert (saved.iteration, saved.optimiser_state().iterations) == (10, 42)
    assert saved.optimiser_state().kind == "AdaBelief"
    people = RunFolder.open(tmp_path / "run").extra["likenesses"]
    assert people[0]["consent"] == reference, "whom it learned before stays with the run"
    assert len(people) == 3
    assert [e["iteration"] for e in history.events(tmp_path / "run" / "history.jsonl", "start")] == [9, 9]
    assert cli("model", "export-dfm", "run", "a.dfm").code == 0
    assert cli("consent", "revoke", "Ada", "--reason", "withdrawn").code == 0
    film = demo.footage().target
    for words in (("model", "export-dfm", "run", "b.dfm"), ("merge", film, world.dst, "run", "out"),
                  ("merge", film, world.dst, "a.dfm", "out")):  # fmt: skip
        assert "revoked" in refused(*words)["what"], words
