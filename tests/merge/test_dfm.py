"""DFM files as swappers: the border of colours, the dose of likeness, and files that mean harm."""

from __future__ import annotations

import gc
import hashlib
import json
import weakref
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.models.folders import tiny

from facewright.api.nets import load_model
from facewright.core.errors import ConsentRefused, FileRefused
from facewright.merge import dfm
from facewright.merge.dfm import dfm_record, open_dfm
from facewright.merge.predict import is_dfm, predictor
from facewright.merge.run import MergeStep
from facewright.merge.settings import MergeSettings
from facewright.merge.trained import run_record
from facewright.models.dfm_facts import FACE, MORPH, OUTPUTS, to_metadata
from facewright.models.onnx_nets import to_onnx
from facewright.models.onnx_read import OnnxFile

CPU = MergeSettings(device="cpu")
SOURCE = {"role": "source_likeness", "consent": "sha256:" + "a" * 64, "person": "Ada", "where": "/home/ada",
          "footage_sha256": ["b" * 64]}


def border(name: str, shape: list) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def mirror(
    side: object = 16, *, inputs: tuple[str, ...] = (FACE,), outputs: tuple[str, ...] = OUTPUTS, morph: bool = False,
) -> onnx.ModelProto:
    """A file that gives the face back 1.5 times as bright; its masks are the morph value, or red."""
    pick = numpy_helper.from_array(np.array([2]), "pick")
    gain = numpy_helper.from_array(np.array([1.5], np.float32), "gain")
    nodes = [
        helper.make_node("Mul", [inputs[0], "gain"], [outputs[1]]), helper.make_node("Gather", [inputs[0], "pick"],
                                                                                     [outputs[0]], axis=3),
        helper.make_node("Mul", [outputs[0], MORPH], [outputs[2]]) if morph
        else helper.make_node("Identity", [outputs[0]], [outputs[2]]),
    ]
    known = [border(inputs[0], ["N", side, side, 3])] + ([border(MORPH, [1])] if morph else [])
    known += [border(name, [1]) for name in inputs[1:]]
    shapes = [["N", side, side, 1], ["N", side, side, 3], ["N", side, side, 1]]
    graph = helper.make_graph(nodes, "g", known, [border(n, s) for n, s in zip(outputs, shapes)], [pick, gain])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)


def put(model: onnx.ModelProto, file: Path, facts: dict[str, str] | None = None) -> Path:
    helper.set_model_props(model, to_metadata(facts or {"face_type": "full_face", "iteration": "7"}, [SOURCE]))
    file.write_bytes(model.SerializeToString())
    return file


def test_red_stays_red(tmp_path):
    swapper = predictor(put(mirror(), tmp_path / "a.dfm"), CPU)
    red = np.zeros((2, 16, 16, 3), np.float32)
    red[..., 0] = 0.5
    made = swapper(red, face_ids=["a", "b"])
    assert (made.image[..., 0].min(), made.image[..., 1:].max()) == (0.75, 0)
    assert made.mask_own.min() == 0.5, "the third channel that the file sees is red"
    assert made.face_ids == ("a", "b")
    assert (swapper.resolution, str(swapper.face_type), swapper.iteration) == (16, "full_face", 7)
    assert swapper(red * 2).image.max() == 1, "clipped"


def test_the_dose(tmp_path):
    file = put(mirror(morph=True), tmp_path / "a.dfm")
    ones = np.ones((1, 16, 16, 3), np.float32)
    for dose in (0.0, 0.25, 1.0):
        swapper = predictor(file, MergeSettings(device="cpu", morph=dose))
        assert swapper(ones).mask_swap.max() == dose
        assert swapper.predict(ones, 0.5).mask_swap.max() == 0.5
    file = put(mirror(), tmp_path / "b.dfm")
    plain = {predictor(file, MergeSettings(device="cpu", morph=m)).identity for m in (0, 1)}
    assert len(plain) == 1, "a file without a dose predicts the same whatever it is"


def test_our_own_file_equals_the_net(tmp_path):
    file = put(to_onnx(tiny("amp").eval(), {}), tmp_path / "a.dfm", {"face_type": "whole_face"})
    images = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    low, high = (open_dfm(file, CPU).predict(images, m).image for m in (0.0, 1.0))
    assert np.abs(low - high).max() > 1e-3


def test_what_a_file_says_of_itself(tmp_path):
    file = put(mirror(), tmp_path / "a.dfm")
    (who,) = run_record(file)["likenesses"]
    assert (who["role"], who["consent"], who["footage_sha256"]) == tuple(
        SOURCE[k] for k in ("role", "consent", "footage_sha256"))
    assert (who["person"], who["where"]) == ("", str(file)), "names and places stay at home"
    assert b"Ada" not in file.read_bytes()
    broken = mirror()
    helper.set_model_props(broken, {"facewright.likenesses": json.dumps([{"role": 3}])})
    (tmp_path / "b.dfm").write_bytes(broken.SerializeToString())
    with pytest.raises(FileRefused, match="properly whose face"):
        dfm_record(tmp_path / "b.dfm")


def test_a_merge_asks_for_the_source_as_of_a_run(world, tmp_path):
    faces = world.fill("dfm-faces", consent="sha256:" + "c" * 64)
    file = put(mirror(), tmp_path / "a.dfm")
    step = MergeStep(str(world.film), str(faces), str(file), str(tmp_path / "out"), CPU)
    source, target = step.likenesses()
    assert (source.role, source.consent) == ("source_likeness", SOURCE["consent"])
    assert source.footage_sha256 == ("b" * 64,)
    assert source.vectors is not None
    assert source.vectors() is None
    assert target.role == "target_performer"
    assert step.inputs()["run"].startswith("dfm:")
    silent = mirror()
    helper.set_model_props(silent, {"facewright.face_type": "full_face"})
    (tmp_path / "b.dfm").write_bytes(silent.SerializeToString())
    step = MergeStep(str(world.film), str(faces), str(tmp_path / "b.dfm"), str(tmp_path / "out"), CPU)
    with pytest.raises(ConsentRefused, match="does not say whose face") as refused:
        step.likenesses()
    assert "import-dfm" in refused.value.remedy


def test_a_dfm_file_is_read_once_and_let_go(world, tmp_path, monkeypatch):
    faces = world.fill("dfm-read", consent="sha256:" + "c" * 64)
    file, real, reads = put(mirror(), tmp_path / "a.dfm"), dfm.read_onnx, []

    def counted(path: Path, kind: str) -> OnnxFile:
        found = real(path, kind)
        reads.append(weakref.ref(found))
        return found

    monkeypatch.setattr(dfm, "read_onnx", counted)
    step = MergeStep(str(world.film), str(faces), str(file), str(tmp_path / "out"), CPU)
    asked = step.likenesses()
    assert step.swapper.iteration == 7
    assert step.likenesses() == asked, "as merge.json has them at the end"
    assert [one() for one in reads] == [None], "read once, for question and net"
    refused = MergeStep(str(world.film), str(faces), str(file), str(tmp_path / "out"), CPU)
    refused.likenesses()
    del refused
    assert [one() for one in reads] == [None, None], "the gate refused: no bytes stay"


def test_load_model_that_is_refused_keeps_no_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = put(mirror(), tmp_path / "a.dfm")
    with pytest.raises(ConsentRefused) as refused:
        load_model(file, device="cpu")
    gc.collect()
    assert file.absolute() not in {place for place, _ in dfm._held}, refused


def test_a_folder_of_that_name_is_a_run(tmp_path):
    (tmp_path / "a.dfm").mkdir()
    assert not is_dfm(tmp_path / "a.dfm")
    assert is_dfm(tmp_path / "B.DFM")


def external() -> onnx.ModelProto:
    model = mirror()
    weight = model.graph.initializer[1]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../../etc/passwd")
    return model


def sparse_external() -> onnx.ModelProto:
    """A weight in another file, within a sparse constant."""
    model = external()
    weight = model.graph.initializer.pop(1)
    place = helper.make_tensor("place", TensorProto.INT64, [1], [0])
    sparse = helper.make_sparse_tensor(weight, place, [4])
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], sparse_value=sparse))
    return model


def hidden_external() -> onnx.ModelProto:
    """The same inside a branch of a branch."""
    model = mirror()
    inner = external().graph.initializer[1]
    constant = helper.make_node("Constant", [], ["c"], value=inner)
    graph = helper.make_graph([constant], "in", [], [border("c", [1])])
    flag = numpy_helper.from_array(np.array(True), "flag")
    model.graph.initializer.append(flag)
    deep = helper.make_graph([helper.make_node("If", ["flag"], ["d"], then_branch=graph, else_branch=graph)], "mid", [],
                             [border("d", [1])])
    model.graph.node.append(helper.make_node("If", ["flag"], ["e"], then_branch=deep, else_branch=deep))
    return model


def custom() -> onnx.ModelProto:
    model = mirror()
    model.graph.node[0].domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


HARMFUL = {
    "nothing": b"", "text": b"ffconcat version 1.0\n", "half": mirror().SerializeToString()[:-80],
    "external weights": external().SerializeToString(), "hidden weights": hidden_external().SerializeToString(),
    "sparse weights": sparse_external().SerializeToString(),
    "foreign operations": custom().SerializeToString(),
    "no side": mirror("S").SerializeToString(), "huge": mirror(100_000).SerializeToString(),
    "tiny": mirror(2).SerializeToString(), "other input": mirror(inputs=("x",)).SerializeToString(),
    "one input more": mirror(inputs=(FACE, "more")).SerializeToString(),
    "other outputs": mirror(outputs=("a", "b", "c")).SerializeToString(),
}


@pytest.mark.parametrize("what", HARMFUL)
def test_harmful_files_are_refused(what, tmp_path):
    file = tmp_path / "a.dfm"
    file.write_bytes(HARMFUL[what])
    note = {"format": 1, "face_type": "full_face", "likenesses": [SOURCE]}
    digest = hashlib.sha256(HARMFUL[what]).hexdigest()
    (tmp_path / "a.dfm.facewright.json").write_text(json.dumps({**note, "sha256": digest}))
    with pytest.raises(FileRefused) as refused:
        predictor(file, CPU)
    assert refused.value.why
    with pytest.raises(FileRefused):
        predictor(tmp_path / "missing.dfm", CPU)
