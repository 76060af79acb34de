"""Which pretrained nets there are: what each is, who made it from what, who carries its file.

Facts and measurements: the project's specification of pretrained weights, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

from facewright.core.errors import SettingRefused


@dataclass(frozen=True, slots=True)
class Part:
    """One file as its publisher offers it: a path inside a wheel or a repository."""

    path: str
    bytes: int
    sha256: str

    @property
    def file(self) -> str:
        """The last bit of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Package:
    """A carrier: a published wheel that holds the file; read as an archive, never installed."""

    requirement: str
    python: str
    platform: str
    part: Part

    def __str__(self) -> str:
        return f"package {self.requirement} : {self.part.path}"


@dataclass(frozen=True, slots=True)
class Repository:
    """A carrier: files of a public code repository at one commit. `convert` names the format of `parts` when it is
    not the one that we run (a key of `core.convert.CONVERTERS`), else ""."""

    name: str
    commit: str
    parts: tuple[Part, ...]
    convert: str = ""

    def __str__(self) -> str:
        return f"repository {self.name} @ {self.commit[:8]} : {', '.join(p.path for p in self.parts)}"


Carrier = Package | Repository


@dataclass(frozen=True, slots=True)
class Weight:
    """One pretrained net (or table), with everything that a user should know before using it."""

    name: str
    file: str
    bytes: int
    sha256: str
    licence: str
    licence_note: str
    training_data: str
    reservations: str
    carriers: tuple[Carrier, ...]
    used_for: str
    identity: bool = False


def _mediapipe(path: str, bytes_: int, sha256: str) -> tuple[Carrier, ...]:
    return (Package("mediapipe==0.10.21", "3.11", "manylinux_2_28_x86_64", Part(path, bytes_, sha256)),)


_YUNET = ("ShiqiYu/libfacedetection.train", "0047ac24afb1a50a0c6105001c89d1b5b805dbf1")
_YUNET_NOTE = (
    "The repository's LICENSE is the Apache-2.0 text, its badge says BSD; the OpenCV zoo distributes the net as MIT."
)
_WIDER = "WIDER FACE (images published for research)"
_PUBLISHER_SILENT = "not published with the file"


def _yunet(name: str, bytes_: int, sha256: str, used_for: str) -> Weight:
    file = f"{name}_dynamic.onnx"
    carrier = Repository(*_YUNET, (Part(f"onnx/{file}", bytes_, sha256),))
    return Weight(
        name, file, bytes_, sha256, "Apache-2.0", _YUNET_NOTE, _WIDER,
        "The data set's images were published for research.", (carrier,), used_for,
    )


def _tflite(name: str, file: str, folder: str, bytes_: int, sha256: str, used_for: str, reserve: str = "") -> Weight:
    return Weight(
        name, file, bytes_, sha256, "Apache-2.0", "Copyright The MediaPipe Authors; unchanged.", _PUBLISHER_SILENT,
        reserve or "The training set is not public.", _mediapipe(f"mediapipe/modules/{folder}/{file}", bytes_, sha256),
        used_for,
    )


_TABLE = (
    _yunet("yunet_n", 322906, "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12", "finding faces"),
    _yunet("yunet_s", 237823, "daede24002cc8590f457998cc5e6c9e8b82f45f6bd969506a8913cd4ed10a2d3",
           "finding faces, the smaller net"),
    _tflite("blazeface_full", "face_detection_full_range_sparse.tflite", "face_detection", 676746,
            "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
            "finding faces where YuNet is not at hand; misses faces under about 30 px at 480p"),
    _tflite("blazeface_short", "face_detection_short_range.tflite", "face_detection", 229714,
            "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
            "finding faces close to the camera, fast preview"),
    _tflite("face_mesh", "face_landmark.tflite", "face_landmark", 1242398,
            "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814", "468 face points, every alignment"),
    _tflite("iris", "iris_landmark.tflite", "iris_landmark", 2640568,
            "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f", "gaze, in `faces coverage`"),
    _tflite("selfie_segmentation", "selfie_segmentation.tflite", "selfie_segmentation", 249505,
            "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
            "a matte of the whole person, not of the face (not used yet)"),
    _tflite("face_mesh_attention", "face_landmark_with_attention.tflite", "face_landmark", 2495106,
            "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4", "nothing: kept for comparison",
            "Needs a custom operation of its maker's runtime; does not load here. The training set is not public."),
    Weight(
        "canonical_face", "canonical_face_model.obj", 45999,
        "8bac80443397e113f41a8b565ea72c59390bc031d9defab289dba7bc0c54e618", "Apache-2.0",
        "Copyright The MediaPipe Authors; unchanged.", "none: a drawn mesh of 468 vertices", "",
        (Repository("google-ai-edge/mediapipe", "85c0cdc7d70653888903c88df45962b764296342", (
            Part("mediapipe/modules/face_geometry/data/canonical_face_model.obj", 45999,
                 "8bac80443397e113f41a8b565ea72c59390bc031d9defab289dba7bc0c54e618"),
        )),), "pose, mirror tables, texture coordinates",
    ),
    Weight(
        "mobileface_v2", "mobileface_v2.onnx", 3590393,
        "ab72c095d5c1887e8e40bcfe65b809f18f279569848d9f2a398a0c1935a98f45", "MIT",
        "Copyright 2018, repository LICENSE; converted 1:1 from MXNet to ONNX opset 13, no retraining.",
        "refined MS-Celeb-1M (ms1m-refine-v2), says its README",
        "MS-Celeb-1M was withdrawn by its publisher over missing consent of the people shown. Switch every use of "
        "identity vectors off with FACEWRIGHT_NO_IDENTITY=1, or `no_identity = true` in machine.toml.",
        (Repository("becauseofAI/MobileFace", "128cea33b928dc9bb6d1963202b57a97f5661ccf", (
            Part("MobileFace_Identification/MobileFace_Identification_V2-symbol.json", 75716,
                 "9d4f776ecb40772e3eb10338319e4a10a3cd68694dc6ef4e9042c8c4141e658f"),
            Part("MobileFace_Identification/MobileFace_Identification_V2-0000.params", 3582482,
                 "750057619a1eef8acb320339aebf0bbcf191497e1396a361c8aaba517bbe825e"),
        ), convert="mxnet"),), "identity vectors: grouping faces into people, binding a faceset to a consent record",
        identity=True,
    ),
    Weight(
        "nsfwjs", "nsfwjs_mobilenet_v2.onnx", 10514433,
        "87b8695f6f15a24a64df813bcf4c82717cdeac810abc2070bf25c080ebdb48d6", "MIT",
        "Copyright 2019 Infinite Red, Inc.; uint8 weights dequantised, converted 1:1 to ONNX opset 13.",
        "about 60 GB of images scraped from the web, says its README; rights not stated",
        "Rights in the training images are not stated. Its recall on real sexual content was not measured by us: "
        "a speed bump, not a proof.",
        (Repository("infinitered/nsfwjs", "d55a54c51f14380670064cc129b2ea51029c5e46", (
            Part("models/mobilenet_v2/model.json", 128945,
                 "11846416217e68bf1eb7b0e651bcfd305973566453c63275bbd16766ab089979"),
            Part("models/mobilenet_v2/group1-shard1of1", 2619461,
                 "8e7dddbb16acacc1bf1601b1b8a761e730ff934b7f2d7771312b2f000e5f5f13"),
        ), convert="tfjs"),), "the sexual-content gate before a film is delivered",
    ),
)

WEIGHTS: dict[str, Weight] = {w.name: w for w in _TABLE}
"""Every net that facewright knows, by name."""


def weight(name: str) -> Weight:
    """The entry called `name`. Raises SettingRefused with the list of names."""
    if name not in WEIGHTS:
        raise SettingRefused(
            f"There are no weights called {name!r}.", remedy=f"Choose one of: {', '.join(WEIGHTS)}.", where=name
        )
    return WEIGHTS[name]
