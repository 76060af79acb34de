"""The command line and the api are one surface: every verb, every knob, one JSON document."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import pytest
import typer

import facewright
from facewright import api
from facewright.cli.app import app
from facewright.core.settings import Settings, options, to_markdown
from facewright.faceset.cleaning.settings import CleanSettings
from facewright.faceset.editing.settings import (
    CollageSettings,
    EnhanceSettings,
    ReplaceSettings,
    ResizeSettings,
    RestoreSettings,
)
from facewright.faceset.settings import (
    AgainSettings,
    ChoiceSettings,
    ExtractSettings,
    FacesExportSettings,
    FacesImportSettings,
    GapSettings,
    PackSettings,
    SmoothSettings,
    UnpackSettings,
)
from facewright.faceset.sorting.settings import SortSettings
from facewright.masks.settings import CheckSettings, ExportSettings, MaskSettings, SuggestSettings, TraceSettings
from facewright.media.settings import CutSettings, DenoiseSettings, FramesSettings, GradeSettings, ShotSettings
from facewright.merge.settings import MergeSettings
from facewright.models.settings import AmpSettings, Quick96Settings, SaehdSettings, XSegSettings
from facewright.render.settings import RenderSettings
from facewright.training.settings import AmpTrain, Quick96Train, SaehdTrain, XSegTrain

ROOT = Path(__file__).resolve().parents[2]
KNOBS: dict[str, tuple[type[Settings], ...]] = {
    "faces sort": (SortSettings,),
    "faces clean": (CleanSettings,),
    "video cut": (CutSettings,), "video scenes": (ShotSettings,), "video extract": (FramesSettings,),
    "video denoise": (DenoiseSettings,), "video grade": (GradeSettings,),
    "faces import": (FacesImportSettings,), "faces export": (FacesExportSettings,),
    "extract": (ExtractSettings,), "train saehd": (SaehdTrain, SaehdSettings),
    "train amp": (AmpTrain, AmpSettings),
    "faces smooth": (SmoothSettings,), "faces gaps": (GapSettings,),
    "mask apply": (MaskSettings,), "mask check": (CheckSettings,), "mask suggest": (SuggestSettings,),
    "mask to-labels": (TraceSettings,), "mask export": (ExportSettings,),
    "faces resize": (ResizeSettings,), "faces enhance": (EnhanceSettings,), "faces collage out": (CollageSettings,),
    "faces collage in": (ReplaceSettings,), "faces metadata restore": (RestoreSettings,),
    "faces pack": (PackSettings,), "faces unpack": (UnpackSettings,), "faces copy": (ChoiceSettings,),
    "faces move": (ChoiceSettings,), "faces merge": (ChoiceSettings,),
    "train quick96": (Quick96Train, Quick96Settings), "train xseg": (XSegTrain, XSegSettings),
    "faces again": (AgainSettings,), "merge": (MergeSettings,), "render": (RenderSettings,),
}  # fmt: skip
INSIDE = {"STEPS", "extractions", "merge_places", "model_parts", "render_places", "trust_at"}
"""What the api offers to its clients that is no verb: a table, and places."""
SPELLED = {
    "train": ["train saehd", "train amp", "train quick96", "train xseg"],
    "jobs_request": ["jobs stop", "jobs save", "jobs preview", "jobs next"],
    "train_plan": ["train saehd"],
    "model_pictures": ["model history"],
    "faces_gaps_remove": ["faces gaps"], "faces_people": ["faces people list"],
}  # fmt: skip


def commands() -> dict[str, Any]:
    found: dict[str, Any] = {}

    def walk(command: Any, path: str) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found[path.strip()] = command
        for name, child in (children or {}).items():
            walk(child, f"{path} {name}")

    walk(typer.main.get_command(app), "")
    return found


def test_the_api_s_list_is_sorted_whole_and_importable():
    assert api.__all__ == sorted(api.__all__)
    assert len(set(api.__all__)) == len(api.__all__)
    for name in api.__all__:
        assert getattr(api, name) is not None
    own = {n for n, v in vars(api).items() if callable(v) and getattr(v, "__module__", "").startswith("facewright.api")}
    assert own <= set(api.__all__), "a verb that the list forgets"


@pytest.mark.parametrize("verb", sorted(set(api.__all__) - INSIDE))
def test_every_verb_has_its_command(verb):
    words = {path.replace(" ", "_").replace("-", "_"): path for path in commands()}
    assert set(SPELLED.get(verb, [words.get(verb, verb)])) <= set(commands())


def test_every_verb_is_called_by_the_command_line():
    called = set()
    for path in (ROOT / "src" / "facewright" / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "api":
                called.add(node.attr)
    assert set(api.__all__) - called <= {"STEPS", "trust_at"}
    assert called <= set(api.__all__), "the command line uses what the api does not list"


def test_every_command_says_what_it_does_and_takes_json():
    for path, command in commands().items():
        assert command.help, path
        assert "--json" in {flag for p in command.params for flag in p.opts}, path
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.help, f"{path} {parameter.name}"


def test_lists_of_commands_show_whole_sentences():
    """In a terminal of 80 columns no line about a command of `faces` or `video` ends in dots."""
    def walk(group: Any, path: str) -> None:
        longest = max(map(len, group.commands))
        for name, child in group.commands.items():
            line = child.get_short_help_str(78 - 6 - longest)
            assert line, f"{path} {name}"
            assert not line.endswith("..."), f"{path} {name}: {line}"
            if hasattr(child, "commands"):
                walk(child, f"{path} {name}")

    for name in ("faces", "video"):
        walk(typer.main.get_command(app).commands[name], name)


def test_an_option_s_word_means_one_thing():
    """A word takes a value everywhere or nowhere; over all commands about faces and footage, the same kind of value."""
    flags, values = dict[str, dict[bool, list[str]]](), dict[str, dict[str, list[str]]]()
    for path, command in commands().items():
        for p in (p for p in command.params if p.param_type_name == "option"):
            for word in p.opts:
                flags.setdefault(word, {}).setdefault(p.is_flag, []).append(path)
                if p.metavar and path.startswith(("faces ", "video ")):  # a knob has no metavar
                    values.setdefault(word, {}).setdefault(p.metavar, []).append(path)
    assert {word: kinds for word, kinds in flags.items() if len(kinds) > 1} == {}
    assert {word: kinds for word, kinds in values.items() if len(kinds) > 1} == {}


@pytest.mark.parametrize("path", KNOBS)
def test_every_knob_is_an_option_with_its_range(path):
    options_of = {flag: p for p in commands()[path].params if p.param_type_name == "option" for flag in p.opts}
    for cls in KNOBS[path]:
        for knob in options(cls):
            assert knob.flag in options_of, f"{path} lacks {knob.flag}"
            text = options_of[knob.flag].help or ""
            assert knob.help in text
            assert knob.range_text in text


def test_no_settings_class_is_forgotten():
    """Every class of knobs in the package is a command's, or the base of one that is."""
    for module in pkgutil.walk_packages(facewright.__path__, "facewright."):
        if module.name.endswith(".settings"):
            importlib.import_module(module.name)
    known = {cls for classes in KNOBS.values() for one in classes for cls in one.__mro__}

    def below(cls: type) -> set[type]:
        return {cls}.union(*(below(child) for child in cls.__subclasses__()))

    ours = {cls for cls in below(Settings) if cls.__module__.startswith("facewright.")}
    assert ours <= known, sorted(c.__name__ for c in ours - known)


@pytest.mark.parametrize("cls", sorted({c for classes in KNOBS.values() for c in classes}, key=lambda c: c.__name__))
def test_every_knob_is_in_the_reference(cls):
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    table = to_markdown(cls)
    for knob in options(cls):
        assert f"`{knob.flag}`" in table
        assert f"`{knob.flag}`" in page


READ_ONLY = [
    ("doctor",), ("weights", "list"), ("weights", "verify"), ("faces", "info", "{dst}"), ("consent", "list"),
    ("consent", "show", "synthetic source"), ("consent", "check", "synthetic source"), ("ledger", "show"),
    ("ledger", "verify"), ("jobs", "list"), ("verify", "{film}"), ("model", "list", "{folder}"),
    ("model", "info", "{folder}/run"), ("model", "history", "{folder}/run"), ("model", "trash", "list", "{folder}"),
]  # fmt: skip


@pytest.mark.parametrize("words", READ_ONLY, ids=" ".join)
def test_json_is_one_document_and_nothing_else(cli, world, tmp_path, monkeypatch, words):
    from facewright import demo

    monkeypatch.chdir(tmp_path)
    words = [word.format(dst=world.dst, folder=world.folder, film=demo.footage().source) for word in words]
    said = cli(*words, "--json")
    assert json.loads(said.out) is not None
    assert said.code in ({3} if words[0] == "verify" else {0, 2} if words[0] == "doctor" else {0}), said
    again = cli(*words)
    assert again.code == said.code
    assert "error" not in said.json()


def test_what_looks_changes_nothing(cli, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(p.relative_to(world.folder) for p in world.dst.rglob("*"))
    for words in READ_ONLY:
        cli(*(word.format(dst=world.dst, folder=world.folder, film=__file__) for word in words))
    assert list(tmp_path.iterdir()) == []
    after = sorted(p.relative_to(world.folder) for p in world.dst.rglob("*"))
    assert {str(p) for p in after} - {str(p) for p in before} <= {
        f"dst/index.sqlite{end}" for end in ("", "-wal", "-shm")}
