"""Names and shapes of the files that DeepFaceLab reads, of the sizes that people train."""

from __future__ import annotations

import json
import os

import pytest
import torch
from tests.models.folders import tiny
from tests.models.test_parity import NAMES

from facewright.core.errors import DiskRefused
from facewright.core.unpickle import read_pickle_file
from facewright.models import dfl_write
from facewright.models.dfl_files import Family, find, parts_of
from facewright.models.dfl_read import ForeignNet
from facewright.models.dfl_write import adversaries_to_dfl, optimiser_to_dfl, to_dfl, write_dfl
from facewright.models.layers import to_original_layout
from facewright.models.memory import OptimiserState
from facewright.models.net import NETS
from facewright.models.settings import AmpSettings, Quick96Settings, SaehdSettings, XSegSettings

BIG = {
    "quick96": ("quick96", Quick96Settings(), "RMSprop"),
    "saehd_liae-ud_128_default": ("saehd", SaehdSettings(), "AdaBelief"),
    "saehd_df-udt_128_default_trueface": ("saehd", SaehdSettings(archi="df-udt"), "AdaBelief"),
    "saehd_df_128_default_rmsprop": ("saehd", SaehdSettings(archi="df"), "RMSprop"),
    "amp_224_default": ("amp", AmpSettings(), "AdaBelief"),
}


@pytest.fixture
def shapes_only(monkeypatch):
    """Nets without memory: their arrays are their shapes."""
    monkeypatch.setattr(dfl_write, "_array", lambda t: list(to_original_layout(t).shape))
    with torch.device("meta"):
        yield


def listed(content, before=""):
    return sorted([before + key, value if isinstance(value, list) else []] for key, value in content.items())


@pytest.mark.parametrize("case", BIG)
def test_every_name_and_shape_of_real_models(case, golden, shapes_only, parity):
    name, settings, kind = BIG[case]
    wanted = json.loads((golden / "models/big_variables.json").read_text())[case]
    net = NETS.load(name)(settings)
    named = dict(net.named_parameters())
    files = to_dfl(named.items())
    assert tuple(files) == parts_of(name, getattr(settings, "archi", "")) or set(files) == set(
        parts_of(name, getattr(settings, "archi", "")))
    for part, content in files.items():
        parity.same(f"big_variables.json/{case}", listed(content, f"{part}/"), sorted(wanted[f"{part}.npy"]), NAMES)
    memory = listed(optimiser_to_dfl(OptimiserState(kind, 1, {}), name, named), "src_dst_opt/")
    parity.same(f"big_variables.json/{case}", memory, sorted(wanted["src_dst_opt.npy"]), NAMES)


def test_xseg(golden, shapes_only, parity):
    wanted = json.loads((golden / "models/xseg_variables.json").read_text())
    named = dict(NETS.load("xseg")(XSegSettings()).named_parameters())
    (content,) = to_dfl(named.items(), whole=True).values()
    memory = optimiser_to_dfl(OptimiserState("RMSprop", 1, {}), "xseg", named, "XSeg")
    for file, have in (("XSeg_256.npy", listed(content, "XSeg/")), ("XSeg_256_opt.npy", listed(memory, "opt/"))):
        parity.same(f"xseg_variables.json/{file}", have, sorted(wanted[file]), "names and shapes")


@pytest.mark.parametrize("case", ["saehd_df-udt_128_default_trueface", "amp_224_default"])
def test_discriminators(case, golden, shapes_only, parity):
    wanted = json.loads((golden / "models/big_variables.json").read_text())[case]
    found = {}
    for ours, part in (("gan", "GAN"), ("true_face", "code_discriminator")):
        if f"{part}.npy" in wanted:
            weights = {}
            for name, shape in wanted[f"{part}.npy"]:
                stored = torch.empty(shape)
                value = stored.permute(3, 2, 0, 1) if stored.ndim == 4 else stored
                weights[name.split("/", 1)[1].removesuffix(":0").replace("/", ".")] = value
            found[ours] = ForeignNet(weights, OptimiserState("AdaBelief", 1, {}))
    files = adversaries_to_dfl(case.split("_")[0], found)
    for part, content in files.items():
        scope = f"{part}/" if part.endswith("_opt") else {"GAN": "D_src/", "code_discriminator": "dis/"}[part]
        if "amp" in case and part == "GAN":
            scope = "GAN/"
        parity.same(f"big_variables.json/{case}", listed(content, scope), sorted(wanted[f"{part}.npy"]), NAMES)


def test_a_name_that_reads_as_a_pattern_is_not_written_over(tmp_path):
    files = to_dfl(tiny("saehd").named_parameters())
    family = Family(tmp_path / "out", "anna [v2]", "SAEHD")
    write_dfl(family, files, {"iter": 1})
    with pytest.raises(DiskRefused, match="already"):
        write_dfl(family, files, {"iter": 2})
    assert read_pickle_file(family.data) == {"iter": 1}


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_failure_takes_away_what_it_renamed_and_nothing_else(tmp_path, monkeypatch, step):
    files = to_dfl(tiny("saehd").named_parameters())
    family = Family(tmp_path / "out", "ada", "SAEHD")
    others, real, renamed = family.part("src_dst_opt"), os.replace, []

    def enter(digests: dict[str, str]) -> None:
        others.write_bytes(b"of another process")

    def failing(part, final):
        if len(renamed) == step:
            raise OSError("full")
        renamed.append(final)
        real(part, final)

    monkeypatch.setattr("facewright.core.files.os.replace", failing)
    with pytest.raises(DiskRefused, match="Cannot write"):
        write_dfl(family, files | {"src_dst_opt": {}}, {"iter": 1}, enter)
    assert len(renamed) == step
    assert {f.name: f.read_bytes() for f in family.folder.iterdir()} == {others.name: b"of another process"}


def test_data_dat_comes_last_and_a_failure_leaves_nothing(tmp_path, monkeypatch):
    files = to_dfl(tiny("saehd").named_parameters())
    family = Family(tmp_path / "out", "ada", "SAEHD")
    order = []
    real = dfl_write._write

    def failing(path, content):
        order.append(path.name)
        if "data.dat" in path.name:
            raise OSError("full")
        real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(dfl_write, "_write", failing)
        with pytest.raises(DiskRefused, match="Cannot write") as refused:
            write_dfl(family, files, {"iter": 1})
        assert "full" in refused.value.why
    assert order[-1] == ".ada_SAEHD_data.dat.part"
    assert list((tmp_path / "out").iterdir()) == []
    assert write_dfl(family, files, {"iter": 1})[-1] == "ada_SAEHD_data.dat"
    assert read_pickle_file(family.data) == {"iter": 1}
    assert find(tmp_path / "out") == family
    with pytest.raises(DiskRefused, match="already"):
        write_dfl(family, files, {"iter": 1})


def test_an_optimiser_that_the_original_has_not():
    named = dict(tiny("saehd").named_parameters())
    assert optimiser_to_dfl(OptimiserState("AdamW", 1, {}), "saehd", named) is None
