from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest

from facewright.core.errors import (
    ConsentRefused,
    ContentRefused,
    DiskRefused,
    FileRefused,
    Mismatch,
    NothingFound,
    SettingRefused,
    TraceBroken,
)
from facewright.core.files import sha256_of
from facewright.core.step import Stop, Work
from facewright.media.reader import frame_times, frames, open_video
from facewright.media.writer import ENCODERS
from facewright.provenance import mark
from facewright.provenance.mark import verify_file
from facewright.render.film import Film, RenderStep
from facewright.render.settings import RenderSettings

SAFE = lambda level: 0.0  # noqa: E731


def run(scene, name: str = "film.mp4", permit=True, **other) -> tuple[Film, dict]:
    """What the job runner does, without the job."""
    settings = RenderSettings(**other.pop("settings", {}))
    step = RenderStep(str(scene.merged), str(scene.merged.parent / name), settings=settings, **other)
    step.permit = scene.permit() if permit is True else permit
    plan = step.plan()
    records = {item.id: step.commit(item, result) for item, result in step.stream(plan, Work())}
    summary = step.finish(records, Work())
    return Film.from_summary(summary), summary


def litter(scene) -> set[str]:
    """Names beside the merge, without what the fixtures made."""
    known = {"in", "out", "pinned.json", "store", "ledger.jsonl", "ledger.jsonl.lock", "faces", "shipped"}
    return {p.name for p in scene.merged.parent.iterdir()} - known


def test_a_film_with_the_sources_times_tags_and_sound(make_scene, net):
    scene = make_scene()
    net(SAFE)
    film, summary = run(scene)
    source, made = open_video(scene.source), open_video(film.path)
    assert film.frame_count == 60
    assert (made.rate, made.size_px, made.colour) == (source.rate, source.size_px, source.colour)
    np.testing.assert_array_equal(
        frame_times(made) * made.time_base, frame_times(source) * source.time_base)
    assert [track.codec for track in made.audio] == ["aac"]
    assert sound_packets(film.path) == sound_packets(scene.source)
    first = next(iter(frames(made, 7, 8))).image
    assert abs(int(first[4:12, 4:12, 1].mean()) - 7) <= 6
    assert abs(int(first[30:, 30:].mean()) - 160) <= 4
    assert litter(scene) == {"film.mp4"}
    assert summary["content_gate"] == ["clear"]
    assert summary["marks"] == []


def sound_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as film:
        return [bytes(packet) for packet in film.demux(film.streams.audio[0]) if packet.size]


def test_signed_and_in_the_ledger(make_scene, net):
    scene = make_scene()
    net(SAFE)
    film, _ = run(scene)
    verdict = verify_file(film.path)
    assert (verdict.state, verdict.signer, verdict.exit_status) == ("genuine", "this machine", 0)
    assert verdict.actions[0] == "c2pa.opened"
    consent = verdict.facts["consent"]
    gate, signed = scene.ledger.entries()[-2:]
    assert (gate.type, signed.type) == ("gate.verdict", "output.signed")
    assert consent["ledger"] == {"seq": gate.seq, "head": gate.hash}
    assert consent["records"] == list(scene.permit().records)
    assert consent["binding"] == "unverified"
    assert [v["state"] for v in consent["gate"]] == ["clear", "clear"]
    assert signed.body["sha256"] == film.sha256 == sha256_of(film.path)
    assert signed.id == film.ledger
    assert scene.ledger.verify().intact
    data = film.path.read_bytes()
    assert b"plate" not in data
    assert str(scene.merged.parent).encode() not in data


def test_without_the_net_a_short_film_is_a_marked_preview(make_scene, net):
    scene = make_scene()
    net(None)
    film, summary = run(scene)
    assert summary["marks"] == ["PREVIEW"]
    assert summary["content_gate"] == ["unscreened"]
    assert verify_file(film.path).facts["consent"]["marks"] == ["PREVIEW"]
    assert marked(film.path, 160)


def marked(path: Path, level: int) -> bool:
    """Whether every picture shows letters in its lower left corner."""
    seen = []
    for frame in frames(open_video(path)):
        corner = frame.image[40:, :60].astype(int)
        seen.append((corner < level - 50).any() and (corner > level + 40).any())
        assert abs(frame.image[20:38, 20:].astype(int) - level).max() < 40, "the rest of the picture is clean"
    assert len(set(seen)) == 1
    return bool(seen[0])


def test_without_the_net_a_long_film_is_not_delivered(make_scene, net):
    scene = make_scene(count=310)
    net(None)
    with pytest.raises(ContentRefused, match="no net"):
        run(scene)
    assert litter(scene) == set()
    assert scene.ledger.entries()[-1].type == "gate.verdict"


def test_a_safe_film_has_no_mark(make_scene, net):
    scene = make_scene()
    net(SAFE)
    film, _ = run(scene)
    assert not marked(film.path, 160)


@pytest.mark.parametrize("bad", ["result", "target"])
def test_a_hit_leaves_nothing_but_a_ledger_entry(make_scene, net, bad):
    scene = make_scene()
    # Result pictures are at level 160, the target's at 90.
    stub = net(lambda level: 0.95 if (level > 130) == (bad == "result") else 0.0)
    with pytest.raises(ContentRefused, match=f"The {bad} film shows sexual content"):
        run(scene)
    assert stub.seen > 0
    assert litter(scene) == set()
    entry = scene.ledger.entries()[-1]
    assert entry.type == "gate.verdict"
    assert entry.body["verdicts"][-1]["state"] == "refused"


def test_the_gate_looks_again_at_grey_frames(make_scene, net):
    """Frames 31-40 are hits, only grey ones next to them are sure to be sampled at first."""
    scene = make_scene(count=60, level=lambda i: 200 if 31 <= i <= 40 else 180 if i in (29, 30) else 160)
    net(lambda level: 0.9 if level > 190 else 0.5 if level > 170 else 0.0)
    with pytest.raises(ContentRefused):
        run(scene)


def test_test_footage_carries_its_mark(make_scene, net, monkeypatch):
    from datetime import UTC, datetime

    from facewright.provenance import new, store
    from facewright.provenance.keys import machine_key

    scene = make_scene()
    sha = open_video(scene.source).sha256
    clip = {sha: store.FootageClip("drawn", "MIT", "drawn", "documented")}
    monkeypatch.setattr(store, "footage_clips", lambda: clip)
    monkeypatch.setattr(new, "footage_clips", lambda: clip)
    faces = [f for f in scene.store.folder.glob("*.consent.json")]
    for path in faces:
        path.unlink()
    use = "A test of the render stage with drawn pictures, nobody is shown."
    for role in ("source_likeness", "target_performer"):
        new.new_record(new.Answers("test-footage", use, "now", True, role=role, media=[sha]), store=scene.store,
                       key=machine_key(), now=datetime.now(UTC))
    net(SAFE)
    film, summary = run(scene)
    assert summary["marks"] == ["TEST"]
    assert marked(film.path, 160)
    net(None)
    assert run(scene)[1]["marks"] == ["TEST", "PREVIEW"]


def test_no_permit_no_film(make_scene, net):
    scene = make_scene()
    net(SAFE)
    for permit in (None, scene.permit("train")):
        with pytest.raises(ConsentRefused, match="permit"):
            run(scene, permit=permit)
    for path in scene.store.folder.glob("*.consent.json"):
        path.unlink()
    with pytest.raises(ConsentRefused, match="No record"):
        run(scene)
    assert litter(scene) == set()


def test_a_failed_signature_is_never_silent(make_scene, net, monkeypatch):
    scene = make_scene()
    net(SAFE)

    def broken(*_: object, **__: object) -> bytes:
        raise ValueError("no signer")

    monkeypatch.setattr(mark, "_sign", broken)
    with pytest.raises(TraceBroken, match="could not be signed"):
        run(scene)
    assert litter(scene) == {"film.mp4.unsigned"}
    entry = scene.ledger.entries()[-1]
    assert (entry.type, entry.body["signed"]) == ("output.signed", False)


def test_a_full_disk_leaves_nothing(make_scene, net, monkeypatch):
    scene = make_scene()
    net(SAFE)
    real = os.replace

    def full(source, target):
        if str(target).endswith("film.mp4"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DiskRefused):
        run(scene)
    monkeypatch.undo()
    assert "film.mp4" not in litter(scene)


def test_stop_gives_up_the_film_and_keeps_the_merge(make_scene, net):
    scene = make_scene()
    for score in (SAFE, None):
        net(score)
        step = RenderStep(str(scene.merged), str(scene.merged.parent / "film.mp4"))
        step.permit = scene.permit()
        stop = Stop()
        work = Work(stop=stop, progress=lambda done, *_, stop=stop, **__: stop.ask() if done == 20 else None)
        assert list(step.stream(step.plan(), work)) == []
        assert litter(scene) == set()
    net(SAFE)
    assert run(scene)[0].frame_count == 60


def test_what_a_killed_run_left_is_written_over(make_scene, net):
    scene = make_scene(count=12)
    net(SAFE)
    for name in (".film.unsigned.mp4", "..film.unsigned.part.mp4", ".film.part.mp4"):
        (scene.merged.parent / name).write_bytes(b"half a film")
    run(scene)
    assert litter(scene) == {"film.mp4"}


def test_through_the_job_runner(make_scene, net):
    from facewright.jobs.run import HouseGate, run_job

    scene = make_scene(count=12)
    net(SAFE)
    gate = HouseGate(scene.store.folder, scene.ledger.path, "default")
    step = RenderStep(str(scene.merged), str(scene.merged.parent / "film.mp4"))
    film = Film.from_summary(run_job(step, gate=gate).result)
    assert verify_file(film.path).state == "genuine"
    signed = scene.ledger.find(lambda entry: entry.type == "output.signed")
    assert [entry.id for entry in signed] == [film.ledger], "one entry, not a second one by the runner"


@pytest.mark.parametrize(("suffix", "codec"), [(".mov", "prores-hq"), (".mkv", "ffv1"), (".mkv", "h264")])
def test_other_containers(make_scene, net, suffix, codec):
    scene = make_scene(count=12)
    net(SAFE)
    film, _ = run(scene, f"film{suffix}", settings={"codec": codec})
    assert verify_file(film.path).state == "genuine"
    assert film.manifest.name == ("film.c2pa" if suffix == ".mkv" else "film.mov")
    assert film.manifest.exists()


def test_without_sound(make_scene, net):
    scene = make_scene(count=12)
    net(SAFE)
    film, _ = run(scene, settings={"audio": "none"})
    assert open_video(film.path).audio == ()


def test_a_moved_source_is_named_by_audio_from(make_scene, net):
    scene = make_scene(count=12)
    net(SAFE)
    moved = scene.source.with_name("moved.mp4")
    scene.source.rename(moved)
    with pytest.raises(FileRefused, match="no longer there"):
        run(scene)
    assert run(scene, audio_from=str(moved))[0].frame_count == 12


def test_what_is_refused_before_any_work(make_scene, net, tmp_path):
    scene = make_scene(count=12)
    net(SAFE)
    with pytest.raises(FileRefused, match="cannot be signed"):
        run(scene, "film.xyz")
    with pytest.raises(SettingRefused):
        run(scene, "film.mp4", settings={"codec": "ffv1"})
    with pytest.raises(Mismatch):
        run(scene, "in/plate.mp4")
    with pytest.raises(NothingFound):
        RenderStep(str(tmp_path / "in"), str(tmp_path / "film.mp4")).plan()
    (scene.merged / "chunks" / "0000000.mkv").unlink()
    with pytest.raises(FileRefused):
        run(scene)
    assert litter(scene) == set()


def test_a_finished_film_is_not_made_again_unless_it_was_touched(make_scene, net):
    scene = make_scene(count=12)
    net(SAFE)
    film, summary = run(scene)
    step = RenderStep(str(scene.merged), str(film.path))
    assert step.intact(step.plan()[0], summary)
    film.path.write_bytes(film.path.read_bytes()[:-1])
    assert not step.intact(step.plan()[0], summary)


def test_every_film_encoder_is_a_choice():
    from facewright.core.settings import options

    codec = next(o for o in options(RenderSettings) if o.name == "codec")
    assert set(codec.choices) == {n for n in ENCODERS.names() if ENCODERS.load(n).suffixes}
    assert not any("mark" in o.name or "sign" in o.name or "gate" in o.name for o in options(RenderSettings))


def test_a_job_can_be_resumed_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = RenderStep("merged", "film.mp4", "sound.mkv").args()
    assert args == {"merged": str(tmp_path / "merged"), "video": str(tmp_path / "film.mp4"),
                    "audio_from": str(tmp_path / "sound.mkv")}
    assert RenderStep("m", "f.mp4").args()["audio_from"] == ""


def test_an_earlier_film_of_that_name_goes_to_the_trash(make_scene, net):
    scene = make_scene()
    net(SAFE)
    earlier = scene.merged.parent / "film.mp4"
    earlier.write_bytes(b"somebody's film")
    film, _ = run(scene)
    assert film.path == earlier
    assert film.path.read_bytes() != b"somebody's film"
    kept = list((earlier.parent / ".facewright" / "trash").iterdir())
    assert [p.read_bytes() for p in kept] == [b"somebody's film"]
