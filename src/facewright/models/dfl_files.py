"""Names of DeepFaceLab's model files, and how its variables are called here. Facts: models-and-training.md 3.7.

A model is a family of files `<name>_<Class>_<part>.npy` (pickled dicts, key = variable name without its scope, plus
":0") and `<name>_<Class>_data.dat` (iteration and options). XSeg has no name: `XSeg_256.npy`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from facewright.core.errors import FileRefused
from facewright.models.settings import split_archi

NET_OF_CLASS = {"SAEHD": "saehd", "Quick96": "quick96", "AMP": "amp", "XSeg": "xseg"}
"""The original's class name -> ours."""

CLASS_OF_NET = {net: kind for kind, net in NET_OF_CLASS.items()}

WHOLE = ""
"""The one part of XSeg, whose parameters have no part in their name."""

_PARTS = {
    "df": ("encoder", "inter", "decoder_src", "decoder_dst"), "liae": ("encoder", "inter_AB", "inter_B", "decoder"),
    "amp": ("encoder", "inter_src", "inter_dst", "decoder"), "xseg": (WHOLE,),
}

OPTIMISER = "src_dst_opt"

ADVERSARIES = {"gan": ("GAN", "GAN_opt"), "true_face": ("code_discriminator", "D_code_opt")}
"""Our name of a discriminator -> the parts with its weights and its optimiser."""

_SCOPES = {"true_face": "dis", "gan": "D_src"}

_ALL_PARTS = sorted({p for parts in _PARTS.values() for p in parts} - {WHOLE})
_FILE = re.compile(rf"(?P<name>.+?)_(?P<kind>SAEHD|AMP|Quick96)_(?:data\.dat|(?:{'|'.join(_ALL_PARTS)})\.npy)")
_OTHER = re.compile(r"(?P<name>[^_]+)_(?P<kind>[A-Za-z0-9]+)_data\.dat")
_XSEG = re.compile(r"XSeg_(?:data\.dat|256\.npy)")


@dataclass(frozen=True, slots=True)
class Family:
    """The files of one model in a folder."""

    folder: Path
    name: str
    kind: str

    @property
    def net(self) -> str:
        """Our name of its class."""
        return NET_OF_CLASS[self.kind]

    @property
    def prefix(self) -> str:
        """What its files' names begin with."""
        return "XSeg" if self.kind == "XSeg" else f"{self.name}_{self.kind}"

    @property
    def data(self) -> Path:
        """The training state; may be missing."""
        return self.folder / f"{self.prefix}_data.dat"

    def part(self, part: str) -> Path:
        """The file of one part's weights, or of an optimiser."""
        if self.kind == "XSeg":
            return self.folder / ("XSeg_256_opt.npy" if part == OPTIMISER else "XSeg_256.npy")
        return self.folder / f"{self.prefix}_{part}.npy"

    def there(self) -> list[str]:
        """The parts with weights that the folder holds, whatever the graph."""
        if self.kind == "XSeg":
            return [WHOLE] if self.part(WHOLE).is_file() else []
        return [part for part in _ALL_PARTS if self.part(part).is_file()]


def parts_of(net: str, archi: str = "") -> tuple[str, ...]:
    """The parts of a net in the original's order; `archi` for those with letters."""
    return _PARTS[split_archi(archi)[0] if net in ("saehd", "quick96") else net]


def scope_of(net: str, adversary: str) -> str:
    """The original's name for a discriminator's variables; in AMP the GAN's is another."""
    return "GAN" if (net, adversary) == ("amp", "gan") else _SCOPES[adversary]


def find(folder: Path, name: str = "") -> Family:
    """The model `name` (NAME or NAME_Class; "" = the only one) of a folder. Raises FileRefused: none, several, or of a
    class that facewright does not read."""
    if not folder.is_dir():
        raise FileRefused(
            f"There is no folder {folder.name or folder}.", remedy="Give the folder with DeepFaceLab's model files.",
            where=folder,
        )
    files = sorted(f.name for f in folder.iterdir() if f.is_file())
    found = {(m["name"], m["kind"]) for f in files if (m := _FILE.fullmatch(f))}
    found |= {("XSeg", "XSeg") for f in files if _XSEG.fullmatch(f)}
    wanted = sorted(key for key in found if name in ("", key[0], "_".join(key)))
    if len(wanted) == 1:
        return Family(folder, *wanted[0])
    if wanted:
        raise FileRefused(
            f"{folder.name} holds several models.", why=", ".join("_".join(key) for key in wanted),
            remedy=f"Name one of: {', '.join('_'.join(key) for key in wanted)}.", where=folder,
        )
    raise _nothing(folder, name, files, sorted(key[0] for key in found))


def _nothing(folder: Path, name: str, files: list[str], names: list[str]) -> FileRefused:
    others = [m for f in files if (m := _OTHER.fullmatch(f)) and m["kind"] not in NET_OF_CLASS]
    others = [m for m in others if name in ("", m["name"])]
    if others:
        return FileRefused(
            f"{others[0].string} is a {others[0]['kind']} model, which facewright does not read.",
            remedy="SAEHD, AMP, Quick96 and XSeg models can be read.", where=folder,
        )
    return FileRefused(
        f"{folder.name} holds no DeepFaceLab model{f' called {name}' if name else ''}.",
        remedy=f"There are: {', '.join(names)}." if names else
        "Give the folder with NAME_SAEHD_data.dat, NAME_AMP_data.dat, NAME_Quick96_data.dat or XSeg_256.npy: usually"
        " workspace/model.",
        where=folder,
    )


def damaged(file: Path, why: str) -> FileRefused:
    """The refusal of a file that does not hold what it should."""
    return FileRefused(
        f"{file.name} is damaged.", why=f"{why}.", remedy="Restore the model's files from a backup.", where=file
    )
