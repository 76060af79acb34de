from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from c2pa import Context, Reader

from facewright.core.errors import DiskRefused, FileRefused, TraceBroken
from facewright.provenance import mark
from facewright.provenance.certificate import Identity, local_identity
from facewright.provenance.mark import COMPOSITE, Trace, manifest_of, sidecar_of, sign, verify_file

TRACE = Trace(
    records=["sha256:" + "0" * 64], ledger=(3, "ab" * 32), binding="unverified",
    gate=[{"state": "clear", "subject": "result", "samples": 20, "hits": []}], marks=["TEST"],
)
NOW = datetime.fromisoformat("2026-06-01T12:00:00+00:00")


@pytest.fixture
def identity() -> Identity:
    """This installation's own: its root is in the user's folder, so its films are ours."""
    return local_identity()


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> Path:
    """One tiny file of each container."""
    import av
    from PIL import Image

    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for suffix, codec in ((".mp4", "libx264"), (".mov", "libx264"), (".mkv", "libx264"), (".webm", "libvpx-vp9")):
        with av.open(str(folder / f"secret_source{suffix}"), "w") as film:
            stream = film.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(5):
                picture = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
                film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            film.mux(stream.encode())
    for suffix in (".jpg", ".png"):
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / f"secret_source{suffix}")
    return folder


EMBEDDED, BESIDE = [".mp4", ".mov", ".jpg", ".png"], [".mkv", ".webm"]


@pytest.mark.parametrize("suffix", EMBEDDED + BESIDE)
def test_signed_read_altered_stripped(films, tmp_path, identity, suffix):
    source, film = films / f"secret_source{suffix}", tmp_path / f"film{suffix}"
    holder = sign(source, film, TRACE, identity, NOW)
    assert holder == (film if suffix in EMBEDDED else tmp_path / "film.c2pa")
    verdict = verify_file(film)
    assert (verdict.state, verdict.signer, verdict.exit_status, verdict.codes) == ("genuine", "this machine", 0, ())
    assert verdict.actions == ("c2pa.created", "c2pa.edited", "c2pa.transcoded")
    assert verdict.facts["made_by_trained_model"] is True
    assert verdict.facts["consent"]["ledger"] == {"seq": 3, "head": "ab" * 32}
    assert verdict.facts["consent"]["records"] == ["sha256:" + "0" * 64]
    assert verdict.facts["consent"]["binding"] == "unverified"
    assert verdict.facts["when"] == "2026-06-01T12:00:00Z"
    assert json.loads(json.dumps(verdict.as_dict()))["state"] == "genuine"

    data = bytearray(film.read_bytes())
    middle = bytes(source.read_bytes())[len(source.read_bytes()) // 2:][:16]
    data[data.index(middle)] ^= 1
    film.write_bytes(data)
    verdict = verify_file(film)
    assert (verdict.state, verdict.exit_status) == ("altered", 1)
    assert verdict.codes

    film.write_bytes(source.read_bytes())
    if suffix in BESIDE:
        sidecar_of(film).unlink()
    assert (verify_file(film).state, verify_file(film).exit_status) == ("none", 3)


def test_elsewhere_it_is_intact_by_an_unknown_signer(films, tmp_path, now):
    (tmp_path / "other").mkdir()
    stranger = local_identity(tmp_path / "other", now)
    film = tmp_path / "film.mp4"
    sign(films / "secret_source.mp4", film, TRACE, stranger, now)
    verdict = verify_file(film)
    assert (verdict.state, verdict.signer, verdict.exit_status) == ("genuine", "unknown", 0)
    assert verdict.codes == ("signingCredential.untrusted",)
    assert verdict.as_dict()["meaning"] == "Intact, signer unknown here."
    assert verify_file(film, root_pem=stranger.root_pem).signer == "this machine"


@pytest.mark.parametrize("suffix", EMBEDDED)
def test_nothing_private_is_in_the_file(films, tmp_path, identity, suffix):
    source, film = films / f"secret_source{suffix}", tmp_path / f"film{suffix}"
    sign(source, film, TRACE, identity, NOW, parent=source)
    data = film.read_bytes()
    for word in (b"secret_source", str(tmp_path).encode(), b"thumbnail", str(Path.home()).encode() + b"/", b".part"):
        assert word not in data
    assert len(data) - source.stat().st_size < 40_000


def test_the_film_that_was_worked_on_is_an_ingredient(films, tmp_path, identity):
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    sign(films / "secret_source.mp4", first, TRACE, identity, NOW)
    sign(films / "secret_source.mov", second.with_suffix(".mov"), TRACE, identity, NOW, parent=first)
    verdict = verify_file(second.with_suffix(".mov"))
    assert verdict.state == "genuine"
    assert verdict.actions[0] == "c2pa.opened"
    with open(second.with_suffix(".mov"), "rb") as stream, Context.from_dict({"verify": {}}) as context:
        reader = Reader("video/quicktime", stream, context=context)
        active = reader.get_active_manifest()
        store = reader.json()
    assert active is not None
    (ingredient,) = active["ingredients"]
    assert (ingredient["relationship"], ingredient["title"]) == ("parentOf", "target film")
    assert ingredient["active_manifest"], "the mark of the input is kept"
    assert "thumbnail" not in store


def test_a_parent_without_room_for_marks_is_left_out(films, tmp_path, identity):
    film = tmp_path / "film.mp4"
    sign(films / "secret_source.mp4", film, TRACE, identity, NOW, parent=films / "secret_source.mkv")
    assert verify_file(film).actions[0] == "c2pa.created"


def test_any_remux_drops_it(films, tmp_path, identity):
    import av

    film, copy = tmp_path / "film.mp4", tmp_path / "copy.mp4"
    sign(films / "secret_source.mp4", film, TRACE, identity, NOW)
    with av.open(str(film)) as a, av.open(str(copy), "w") as b:
        stream = b.add_stream_from_template(a.streams.video[0])
        for packet in a.demux(a.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                b.mux(packet)
    assert verify_file(copy).state == "none"


def test_constants_of_the_manifest():
    """The library accepts any string: compare with the vocabulary itself."""
    made = manifest_of(TRACE, NOW, "video/mp4", opened=False)
    actions, mining, consent = (a["data"] for a in made["assertions"])
    assert actions["actions"][0]["action"] == "c2pa.created"
    assert actions["actions"][1]["action"] == "c2pa.edited"
    assert actions["actions"][1]["digitalSourceType"] == COMPOSITE == (
        "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia")
    assert actions["actions"][1]["softwareAgent"]["name"] == "facewright"
    assert [a["label"] for a in made["assertions"]] == [
        "c2pa.actions.v2", "cawg.training-mining", "org.facewright.consent"]
    assert set(mining["entries"]) == {
        "cawg.ai_training", "cawg.ai_generative_training", "cawg.data_mining", "cawg.ai_inference"}
    assert all(entry == {"use": "notAllowed"} for entry in mining["entries"].values())
    assert set(consent) == {"records", "ledger", "binding", "gate", "marks"}
    opened = manifest_of(TRACE, NOW, "video/mp4", opened=True)["assertions"][0]["data"]["actions"]
    assert [a["action"] for a in opened] == ["c2pa.opened", "c2pa.edited", "c2pa.transcoded"]


def test_failure_leaves_nothing(films, tmp_path, identity, monkeypatch):
    film = tmp_path / "film.mp4"
    broken = Identity(identity.root_pem, identity.chain_pem, identity.root_pem, identity.until)
    with pytest.raises(TraceBroken, match="could not be signed"):
        sign(films / "secret_source.mp4", film, TRACE, broken, NOW)
    (tmp_path / "not.mp4").write_bytes(b"no film at all")
    with pytest.raises(TraceBroken):
        sign(tmp_path / "not.mp4", film, TRACE, identity, NOW)
    with pytest.raises(FileRefused):
        sign(films / "secret_source.mp4", tmp_path / "film.xyz", TRACE, identity, NOW)

    def full(*_: object, **__: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mark, "_sign", full)
    with pytest.raises(DiskRefused):
        sign(films / "secret_source.mp4", film, TRACE, identity, NOW)
    assert [p.name for p in tmp_path.iterdir()] == ["not.mp4"]


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"\x89PNG\r\n\x1a\n", bytes(4096)], ids=["empty", "text", "head", "zeros"])
@pytest.mark.parametrize("suffix", [".mp4", ".png", ".jpg", ".txt", ".mkv", ""])
def test_files_that_are_none(tmp_path, body, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(body)
    assert verify_file(path).state == "none"


def test_a_missing_file(tmp_path):
    for name in ("none.mp4", "none.mkv", "none.txt"):
        with pytest.raises(FileRefused):
            verify_file(tmp_path / name)


def test_a_damaged_manifest_is_altered(films, tmp_path, identity):
    film = tmp_path / "film.mp4"
    sign(films / "secret_source.mp4", film, TRACE, identity, NOW)
    data = film.read_bytes()
    at = data.index(b"notAllowed")
    film.write_bytes(data[:at] + b"allowedNot" + data[at + 10:])
    verdict = verify_file(film)
    assert (verdict.state, verdict.codes) == ("altered", ("assertion.hashedURI.mismatch",))
    film.write_bytes(data[:at] + bytes(200) + data[at + 200:])
    assert verify_file(film).state == "altered"


def test_500_mutations_never_crash_the_reader(films, tmp_path, identity):
    film = tmp_path / "film.jpg"
    sign(films / "secret_source.jpg", film, TRACE, identity, NOW)
    data, rng = film.read_bytes(), np.random.default_rng(2)
    altered = 0
    for _ in range(500):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 5)):
            broken[place] ^= 1 << rng.integers(8)
        film.write_bytes(broken)
        altered += verify_file(film).state != "genuine"
    assert altered > 400, "the rest are padding bytes, which no manifest covers"


def test_verify_needs_no_torch_and_no_opencv():
    code = (
        "import sys, facewright.provenance.mark, facewright.provenance.permit\n"
        "print('torch' in sys.modules, 'cv2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
