"""Model folders written by the original: read safely, and the nets predict what the original predicted."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from tests import closed_form as cf
from tests.models.folders import TINY, options_of, tiny, write

from facewright.core import unpickle
from facewright.core.errors import FileRefused, Mismatch, SettingRefused
from facewright.core.unpickle import read_pickle_file
from facewright.models import dfl_read
from facewright.models.dfl_read import fill, fitting, memory_limit, read_dfl
from facewright.models.dfl_write import to_dfl
from facewright.models.net import build
from facewright.models.opened import sizes_of
from facewright.models.settings import Quick96Settings, SaehdSettings

SAVED = ["saehd_df-ud_64", "saehd_liae-udt_64"]
PREDICTED = "predictions of the saved model"


@pytest.mark.parametrize("case", SAVED)
@torch.inference_mode()
def test_saved_models_predict_what_the_original_predicts(case, golden, parity):
    model = read_dfl(golden / f"models/saved_{case}")
    assert (model.name, model.net, model.iteration, model.missing) == ("tiny", "saehd", 4, ())
    assert model.settings.archi == case.split("_")[1]
    net = build(model.net, model.settings)
    assert fill(net, model.weights) == []
    swap = net.swap(cf.nchw(cf.img(1, 64, 64, 3, "merge")))
    wanted = np.load(golden / f"models/saved_{case}_expected.npz", allow_pickle=False)
    for value, key in ((swap.image, "face"), (swap.mask_swap, "mask_src_dst"), (swap.mask_own, "mask_dst_dst")):
        have = cf.nhwc(value)[0].reshape(wanted[key].shape)
        parity.near(f"saved_{case}_expected.npz/{key}", have, wanted[key], PREDICTED, atol=5e-5)


@pytest.mark.parametrize("case", SAVED)
def test_what_we_would_write_is_what_was_read(case, golden):
    model = read_dfl(golden / f"models/saved_{case}")
    net = build(model.net, model.settings)
    fill(net, model.weights)
    variables = json.loads((golden / "models/saved_variables.json").read_text())[case]
    for part, content in to_dfl(net.named_parameters()).items():
        wanted = [[n.split("/", 1)[1], shape] for n, shape, _ in variables[f"{part}.npy"]]
        assert [[k, list(v.shape)] for k, v in content.items()] == wanted
        raw = read_pickle_file(golden / f"models/saved_{case}/tiny_SAEHD_{part}.npy")
        for key, array in content.items():
            np.testing.assert_array_equal(array, raw[key])


def copy_of(golden, tmp_path, case=SAVED[0]):
    folder = tmp_path / "model"
    shutil.copytree(golden / f"models/saved_{case}", folder)
    for file in folder.iterdir():
        file.chmod(0o644)
    folder.chmod(0o755)
    return folder


def test_missing_part_keeps_its_start(golden, tmp_path):
    folder = copy_of(golden, tmp_path, SAVED[1])
    (folder / "tiny_SAEHD_inter_AB.npy").unlink()
    model = read_dfl(folder, "tiny")
    assert model.missing == ("inter_AB",)
    net = build(model.net, model.settings)
    assert all(name.startswith("inter_AB.") for name in fill(net, model.weights))


def test_wrong_size_is_refused(golden, tmp_path):
    folder = copy_of(golden, tmp_path)
    bad = {"dense1/weight:0": np.zeros((3, 3), np.float32)}
    (folder / "tiny_SAEHD_inter.npy").write_bytes(pickle.dumps(bad))
    model = read_dfl(folder)
    with pytest.raises(Mismatch, match=r"inter\.dense1\.weight"):
        fill(build(model.net, model.settings), model.weights)


@pytest.mark.parametrize("change", [
    {"archi": "hd-x"}, {"resolution": 70}, {"face_type": "body"}, {"ae_dims": 0}, {"e_dims": "many"}, {"d_dims": 10**9},
])
def test_impossible_options_are_refused(change, golden, tmp_path):
    folder = copy_of(golden, tmp_path)
    options = dict(read_dfl(folder).options) | change
    (folder / "tiny_SAEHD_data.dat").write_bytes(pickle.dumps({"iter": 4, "options": options}))
    with pytest.raises(FileRefused, match="damaged"):
        read_dfl(folder)


class Hostile:
    def __reduce__(self):
        return (open, ("HACKED", "w"))


def test_hostile_files_are_refused(golden, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for victim in ("data.dat", "encoder.npy"):
        folder = copy_of(golden, tmp_path)
        (folder / f"tiny_SAEHD_{victim}").write_bytes(pickle.dumps({"iter": 1, "options": Hostile(), "w:0": Hostile()}))
        with pytest.raises(FileRefused):
            read_dfl(folder)
        shutil.rmtree(folder)
    assert not (tmp_path / "HACKED").exists()


def test_finding(golden, tmp_path):
    with pytest.raises(FileRefused, match="holds no DeepFaceLab model"):
        read_dfl(tmp_path)
    with pytest.raises(FileRefused, match="no folder"):
        read_dfl(tmp_path / "nowhere")
    (tmp_path / "old_H128_data.dat").write_bytes(b"")
    with pytest.raises(FileRefused, match="H128"):
        read_dfl(tmp_path)
    folder = copy_of(golden, tmp_path)
    with pytest.raises(FileRefused, match="called other"):
        read_dfl(folder, "other")
    shutil.copy(folder / "tiny_SAEHD_data.dat", folder / "second_SAEHD_data.dat")
    with pytest.raises(FileRefused, match="several"):
        read_dfl(folder)
    assert read_dfl(folder, "tiny").name == read_dfl(folder, "tiny_SAEHD").name == "tiny"


def test_quick96_folder(tmp_path):
    (tmp_path / "new_Quick96_data.dat").write_bytes(pickle.dumps({"iter": 9, "options": {}}))
    model = read_dfl(tmp_path)
    assert (model.net, model.settings, model.iteration) == ("quick96", Quick96Settings(), 9)
    assert model.missing == ("encoder", "inter", "decoder_src", "decoder_dst")


def test_same_seed_same_start_other_seed_other_start():
    shape = SaehdSettings(archi="df", resolution=64, ae_dims=32, e_dims=16, d_dims=16)
    state = torch.get_rng_state()
    first, again, other = (build("saehd", shape, seed=s) for s in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters()):
        assert torch.equal(a, b)
        assert a.ndim == 1 or not torch.equal(a, c)
        assert a.ndim > 1 or not a.any()
    weight = first.encoder.down1.downs_1.conv1.weight.detach()
    assert abs(float(weight.abs().max()) - (6 / (25 * 16 + 25 * 32)) ** 0.5) < 1e-3


@torch.inference_mode()
def test_saved_amp_predicts_what_the_original_predicts_at_every_morph(golden, parity):
    model = read_dfl(golden / "models/saved_amp_64")
    assert (model.net, model.iteration, model.settings.inter_dims, model.settings.morph_factor) == ("amp", 4, 12, 0.5)
    net = build(model.net, model.settings)
    assert fill(net, model.weights) == []
    wanted = np.load(golden / "models/saved_amp_64_expected.npz", allow_pickle=False)
    for morph in (0.0, 0.33, 0.5, 1.0):
        swap = net.swap(cf.nchw(cf.img(1, 64, 64, 3, "merge")), morph=morph)
        for value, key in ((swap.image, "face"), (swap.mask_swap, "mask_src_dst"), (swap.mask_own, "mask_dst_dst")):
            place = f"mf{morph}_{key}"
            have = cf.nhwc(value)[0]
            have = have[::2, ::2] if key == "face" else have.reshape(wanted[place].shape)
            parity.near(f"saved_amp_64_expected.npz/{place}", have, wanted[place], PREDICTED, atol=5e-5)


@pytest.mark.parametrize("case", [*SAVED, "amp_64"])
def test_losses_and_memory_come_along_and_faces_do_not(case, golden, parity):
    model = read_dfl(golden / f"models/saved_{case}")
    expected = np.load(golden / f"models/saved_{case}_expected.npz", allow_pickle=False)
    losses = expected["loss_history"].tolist()
    parity.same(f"saved_{case}_expected.npz/loss_history", model.losses.tolist(), losses, "losses")
    kind = "RMSprop" if "liae" in case else "AdaBelief"
    assert (model.optimiser.kind, model.optimiser.iterations) == (kind, 3)
    state, misfits = fitting(build(model.net, model.settings), model.optimiser)
    assert misfits == []
    assert state.tensors.keys() == model.optimiser.tensors.keys()
    assert any("left out" in note for note in model.notes)
    assert not any(isinstance(v, np.ndarray | list) for v in model.options.values())


@pytest.mark.parametrize("numpy_1", [False, True])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_and_both_numpys(protocol, numpy_1, tmp_path):
    data = {"iter": np.int64(7), "options": {**options_of("saehd"), "resolution": np.int32(64)}, "loss_history": []}
    folder = write(tmp_path, "saehd", protocol=protocol, numpy_1=numpy_1, data=data)
    if numpy_1 and protocol < 4:
        assert b"numpy._core" not in (folder / "ada_SAEHD_encoder.npy").read_bytes()
    model = read_dfl(folder)
    assert (model.settings, model.iteration, model.missing) == (TINY["saehd"], 7, ())
    for name, parameter in tiny("saehd").named_parameters():
        assert torch.equal(model.weights[name], parameter), name


@pytest.mark.parametrize(("case", "archi"), [("saehd", "df-ud"), ("liae", "liae-udt"), ("amp", ""), ("xseg", "")])
def test_without_data_dat_the_shape_is_read_from_the_arrays(case, archi, tmp_path):
    folder = write(tmp_path, case)
    face = {"full_face": "f", "whole_face": "wf", "head": "head"}[TINY[case].face_type]
    if archi:
        with pytest.raises(FileRefused, match="letters u and c") as refused:
            read_dfl(folder, face_type=face)
        assert f"--archi, for example {archi}." in refused.value.remedy
    with pytest.raises(FileRefused, match="face type"):
        read_dfl(folder, archi=archi)
    model = read_dfl(folder, archi=archi, face_type=face)
    assert model.settings == TINY[case]
    assert model.iteration == 41, "the optimiser counted"
    assert any("missing" in note for note in model.notes)


@pytest.mark.parametrize("wrong", ["df-u", "df-udt", "liae-ud"])
def test_an_archi_that_the_arrays_contradict(wrong, tmp_path):
    with pytest.raises(Mismatch, match=r"not those of|not"):
        read_dfl(write(tmp_path, "saehd"), archi=wrong, face_type="f")


def test_an_archi_that_does_not_exist_or_contradicts_the_options(tmp_path):
    folder = write(tmp_path, "saehd", data={"iter": 1, "options": options_of("saehd")})
    assert read_dfl(folder, archi="df-du").settings.archi == "df-ud"
    with pytest.raises(Mismatch, match="is df-ud, not df-udc"):
        read_dfl(folder, archi="df-udc")
    (folder / "ada_SAEHD_data.dat").unlink()
    with pytest.raises(SettingRefused, match="no architecture"):
        read_dfl(folder, archi="hd", face_type="f")


def test_options_that_old_models_lack_are_read_from_the_arrays(tmp_path):
    options = {k: v for k, v in options_of("saehd").items() if k in ("archi", "face_type")}
    folder = write(tmp_path, "saehd", data={"iter": 5, "options": {**options, "archi": "DF-UD", "eyes_prio": True}})
    assert read_dfl(folder).settings == TINY["saehd"]


def test_memory_that_does_not_fit_is_left_out(tmp_path):
    folder = write(tmp_path, "saehd", slots=("acc",), data={"iter": 5, "options": options_of("saehd")})
    file = folder / "ada_SAEHD_src_dst_opt.npy"
    content = dict(read_pickle_file(file))
    content["acc_inter/dense1/bias_0:0"] = np.zeros(3, np.float32)
    content["acc_gone/x_0:0"] = np.zeros(3, np.float32)
    file.write_bytes(pickle.dumps(content))
    state, misfits = fitting(tiny("saehd"), read_dfl(folder).optimiser)
    assert misfits == ["inter.dense1.bias"]
    assert (state.kind, state.iterations) == ("RMSprop", 41)
    assert "acc:inter.dense1.bias" not in state.tensors
    assert len(state.tensors) == len(list(tiny("saehd").parameters())) - 1


def test_a_million_iterations_are_no_bomb(tmp_path):
    # Seven opcodes an iteration: more than the limit for other files allows.
    history = [[0.5, 0.25]] * 3
    folder = write(tmp_path, "saehd", data={"iter": 2, "options": options_of("saehd"), "loss_history": history})
    assert read_dfl(folder).losses.tolist() == [[0.5, 0.25]] * 2, "no more losses than iterations"
    assert unpickle.OPCODE_LIMIT < 7 * 1_000_000 < dfl_read._DATA_OPCODES


@pytest.mark.parametrize("bad", [
    {"iter": -1, "options": {}}, {"iter": 10**9, "options": {}}, {"iter": "4", "options": {}}, {"iter": 1.5},
    {"iter": 1, "options": []}, [1], {"iter": True, "options": {}},
])
def test_training_states_that_are_none(bad, tmp_path):
    with pytest.raises(FileRefused, match="damaged"):
        read_dfl(write(tmp_path, "saehd", data=bad))


def test_losses_that_cannot_be_read_are_said(tmp_path):
    for history in ("x", [[1, 2], [3]], [[[1]]], [["a", "b"]]):
        data = {"iter": 9, "options": options_of("saehd"), "loss_history": history}
        model = read_dfl(write(tmp_path / str(len(str(history))), "saehd", data=data))
        assert len(model.losses) == 0
        assert any("losses" in note for note in model.notes)


def test_every_truncated_file_is_refused(tmp_path):
    folder = write(tmp_path, "amp", data={"iter": 1, "options": options_of("amp")})
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for cut in (0, 1, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:cut])
            with pytest.raises(FileRefused):
                read_dfl(folder)
        file.write_bytes(whole)
    assert read_dfl(folder).missing == ()


@pytest.mark.parametrize("content", [
    {"w:0": np.array([{}], object)}, {"w:0": [1.0]}, {"w:0": "text"}, {5: np.zeros(1, np.float32)}, [1],
    {"w:0": np.zeros(3, np.int32)}, {"w:0": np.array(["a"])},
])
def test_arrays_that_are_none(content, tmp_path):
    folder = write(tmp_path, "saehd", data={"iter": 1, "options": options_of("saehd")})
    (folder / "ada_SAEHD_inter.npy").write_bytes(pickle.dumps(content))
    with pytest.raises(FileRefused):
        read_dfl(folder)


def test_size_bombs(tmp_path):
    folder = write(tmp_path, "saehd", data={"iter": 1, "options": options_of("saehd")})
    for shape in ((10**9, 10**9), (2**40,)):
        small = pickle.dumps({"w:0": np.zeros(2, np.float32)}, 2)
        one = small.replace(b"K\x02\x85", b"L%dL\n\x85" % shape[0], 1)
        assert one != small
        (folder / "ada_SAEHD_inter.npy").write_bytes(one)
        with pytest.raises(FileRefused) as refused:
            read_dfl(folder)
        assert "size" in refused.value.why


def test_how_large_the_optimiser_s_file_may_be_follows_from_the_net(tmp_path):
    largest = SaehdSettings(archi="df-ud", resolution=512, ae_dims=1024, e_dims=128, d_dims=128, d_mask_dims=32)
    sizes = sizes_of("saehd", largest).values()
    weights_bytes = 4 * sum(size.numel() for size in sizes)
    assert memory_limit(sizes) > 2 * weights_bytes > 4 << 30, "AdaBelief keeps two arrays of each weight"
    named = sizes_of("saehd", largest)
    weights = {name: torch.empty(size, device="meta") for name, size in named.items()}
    assert dfl_read._limit_of(named, weights) > 2 * weights_bytes
    assert dfl_read._limit_of(named, {}) < (4 << 30) + (8 << 20), "options alone allow no more than before"
    folder = write(tmp_path, "saehd", data={"iter": 1, "options": options_of("saehd")})
    file = folder / "ada_SAEHD_src_dst_opt.npy"
    memory = read_pickle_file(file)
    memory["ms_other/x_0:0"] = np.zeros(8 * sum(p.numel() for p in tiny("saehd").parameters()) + (1 << 20), np.float32)
    file.write_bytes(pickle.dumps(memory, 4))
    with pytest.raises(FileRefused, match="too large"):
        read_dfl(folder)


def test_channels_beyond_all_reason_are_refused_before_any_memory_is_taken(tmp_path):
    for options in ({"ae_dims": 10**6}, {"e_dims": 5000}, {"d_mask_dims": 0}, {"d_dims": -2}, {"ae_dims": 1.5}):
        data = {"iter": 1, "options": {**options_of("saehd"), **options}}
        with pytest.raises(FileRefused, match="damaged"):
            read_dfl(write(tmp_path, "saehd", data=data))


def test_discriminators_are_read(tmp_path):
    folder = write(tmp_path, "saehd", data={"iter": 1, "options": options_of("saehd")})
    weight = np.arange(48, dtype=np.float32).reshape(1, 1, 3, 16)
    (folder / "ada_SAEHD_GAN.npy").write_bytes(pickle.dumps({"in_conv/weight:0": weight}))
    memory = {"iters:0": 3, "ms_D_src/in_conv/weight_0:0": weight, "vs_D_src/in_conv/weight_0:0": weight}
    (folder / "ada_SAEHD_GAN_opt.npy").write_bytes(pickle.dumps(memory))
    gan = read_dfl(folder).adversaries["gan"]
    assert torch.equal(gan.weights["in_conv.weight"], torch.from_numpy(weight.transpose(3, 2, 0, 1).copy()))
    assert (gan.optimiser.kind, gan.optimiser.iterations) == ("AdaBelief", 3)
    assert set(gan.optimiser.tensors) == {"ms:in_conv.weight", "vs:in_conv.weight"}
