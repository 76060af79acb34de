"""Extraction and masking on a cluster of two local workers, one of them killed: the same bytes as from one process."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faceset.extraction.test_extract import fake, make_film, run, step_for, tree

from facewright.core import farm
from facewright.core.errors import FileRefused, Mismatch, NothingFound, SettingRefused
from facewright.core.step import Stop, Work
from facewright.faceset.extraction import spread
from facewright.faceset.faceset import Faceset
from facewright.faceset.selection import Chunk
from facewright.masks import apply
from facewright.masks.apply import ApplyStep
from facewright.masks.settings import MaskSettings

distributed = pytest.importorskip("distributed")
FRAMES = 420


class Slow(fake.FakeFinder):
    """Takes its time, so that it can be killed in the middle."""

    pause_s = 0.2


class Other(fake.FakeFinder):
    """Another net on every machine."""

    @property
    def nets(self):
        return (("detector", f"fake:{os.getpid()}"),)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a scheduler with two workers, each a process of its own."""
    root = str(Path(__file__).resolve().parents[3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]))
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=60
        ) as made:
            yield made.scheduler_address


@pytest.fixture(scope="module")
def long_film(tmp_path_factory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "long.mp4", FRAMES)


@pytest.fixture(scope="module")
def alone(long_film, tmp_path_factory) -> Faceset:
    folder = tmp_path_factory.mktemp("alone") / "set"
    run(step_for(long_film, folder, workers=1))
    return Faceset.open(folder)


def pids(address: str) -> list[int]:
    with distributed.Client(address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def killing(address: str, at: int) -> Work:
    """A worker is killed when so many frames have come in."""
    def progress(done, total=None, note="", **facts):
        if done >= at and not killed:
            killed.append(pids(address)[0])
            os.kill(killed[0], signal.SIGKILL)

    killed: list[int] = []
    work = Work(progress=progress)
    work.note = lambda kind, **facts: None
    return work


def test_a_killed_worker_changes_no_byte(cluster, long_film, alone, tmp_path):
    step = step_for(long_film, tmp_path / "set", Slow, cluster=cluster)
    assert len(step.plan()) == 14
    run(step, work=killing(cluster, 32))
    assert tree(tmp_path / "set") == tree(alone.path)


def test_masks_from_a_cluster_are_the_same(cluster, alone, tmp_path):
    copies = []
    for name, settings in (("here", MaskSettings()), ("there", MaskSettings(cluster=cluster))):
        shutil.copytree(alone.path, tmp_path / name)
        step = ApplyStep(str(tmp_path / name), "mesh", settings)
        records = {}
        for item, result in step.stream(step.plan(), killing(cluster, 64) if name == "there" else Work()):
            records[item.id] = step.commit(item, result)
        copies.append((tree(tmp_path / name), step.finish(records, Work()) | {"faceset": ""}))
    assert copies[0] == copies[1]


def test_other_nets_and_other_maskers_are_refused(cluster, long_film, alone, tmp_path, monkeypatch):
    with pytest.raises(Mismatch, match="other nets"):
        run(step_for(long_film, tmp_path / "set", Other, cluster=cluster))
    step = ApplyStep(str(alone.path), "hull", MaskSettings(cluster=cluster))
    monkeypatch.setattr(ApplyStep, "maker", property(lambda self: "another"))
    with pytest.raises(Mismatch, match="another masker"):
        list(step.stream(step.plan(), Work()))


def doubled(piece: int) -> int:
    if piece == 7:
        raise FileRefused("Seven is refused.", why="It is seven.", remedy="Take another.", where="7")
    if piece < 0:
        os._exit(3)
    return 2 * piece


def test_pieces_come_back_once_each_and_errors_as_they_were(cluster):
    assert sorted(farm.scattered(cluster, doubled, [5, 4, 3], Stop())) == [(0, 10), (1, 8), (2, 6)]
    assert list(farm.scattered(cluster, doubled, [], Stop())) == []
    with pytest.raises(FileRefused, match="Seven") as caught:
        list(farm.scattered(cluster, doubled, [1, 7], Stop()))
    assert caught.value.remedy == "Take another."
    stop = Stop()
    stop.ask()
    assert list(farm.scattered(cluster, doubled, [1, 2], stop)) == []


def test_a_piece_that_ends_every_worker_is_named(cluster):
    with pytest.raises(FileRefused, match="again and again"):
        list(farm.scattered(cluster, doubled, [-1], Stop()))


def test_nobody_there(tmp_path):
    with pytest.raises(SettingRefused, match="No cluster answers"):
        list(farm.scattered("tcp://127.0.0.1:9", doubled, [1], Stop(), patience_s=0.5))
    with pytest.raises(SettingRefused, match="No cluster answers"):
        list(farm.scattered(str(tmp_path / "none.json"), doubled, [1], Stop(), patience_s=0.5))
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0", silence_logs=60) as empty,
        pytest.raises(NothingFound, match="no worker"),
    ):
        list(farm.scattered(empty.scheduler_address, doubled, [1], Stop(), patience_s=0.5))


def test_spans_keep_films_apart_and_lose_nothing():
    chunks = [Chunk(digest * 64, tuple(range(start, start + 32))) for digest in "ab" for start in range(0, 32 * 11, 32)]
    spans = spread._spans(chunks)
    assert [chunk for span in spans for chunk in span] == chunks
    assert all(len({chunk.source_sha256 for chunk in span}) == 1 for span in spans)
    assert [len(span) for span in spans] == [8, 3, 8, 3]
    assert spread._spans([]) == []


def test_the_cache_of_a_worker_forgets_the_job_before():
    assert spread._opened.cache_info().maxsize == apply._opened.cache_info().maxsize == 1
