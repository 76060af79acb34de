"""Model folders written by the original: read safely, and the nets predict what the original predicted."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from tests import closed_form as cf

from facewright.core.errors import FileRefused, Mismatch
from facewright.core.unpickle import read_pickle_file
from facewright.models.exchange import fill, read_dfl, to_dfl
from facewright.models.net import build
from facewright.models.settings import Quick96Settings, SaehdSettings

SAVED = ["saehd_df-ud_64", "saehd_liae-udt_64"]


@pytest.mark.parametrize("case", SAVED)
@torch.inference_mode()
def test_saved_models_predict_what_the_original_predicts(case, golden):
    model = read_dfl(golden / f"models/saved_{case}")
    assert (model.name, model.net, model.iteration, model.missing) == ("tiny", "saehd", 4, ())
    assert model.settings.archi == case.split("_")[1]
    net = build(model.net, model.settings)
    assert fill(net, model.weights) == []
    swap = net.swap(cf.nchw(cf.img(1, 64, 64, 3, "merge")))
    wanted = np.load(golden / f"models/saved_{case}_expected.npz", allow_pickle=False)
    for value, key in ((swap.image, "face"), (swap.mask_swap, "mask_src_dst"), (swap.mask_own, "mask_dst_dst")):
        have = cf.nhwc(value)[0].reshape(wanted[key].shape)
        np.testing.assert_allclose(have, wanted[key], atol=5e-5, rtol=0, err_msg=key)


@pytest.mark.parametrize("case", SAVED)
def test_what_we_would_write_is_what_was_read(case, golden):
    model = read_dfl(golden / f"models/saved_{case}")
    net = build(model.net, model.settings)
    fill(net, model.weights)
    variables = json.loads((golden / "models/saved_variables.json").read_text())[case]
    for part, content in to_dfl(net).items():
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
    with pytest.raises(FileRefused, match="AMP"):
        read_dfl(golden / "models/saved_amp_64")
    folder = copy_of(golden, tmp_path)
    with pytest.raises(FileRefused, match="called other"):
        read_dfl(folder, "other")
    shutil.copy(folder / "tiny_SAEHD_data.dat", folder / "second_SAEHD_data.dat")
    with pytest.raises(FileRefused, match="several"):
        read_dfl(folder)
    assert read_dfl(folder, "tiny").name == "tiny"


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
