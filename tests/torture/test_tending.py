"""kill -9 and a full disk while a faceset is tended: no face is lost or damaged, and the same command ends as if
nothing had been."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.steps import run
from tests.torture import road as roads
from tests.torture.forge import Forge
from tests.torture.road import Road
from tests.torture.test_full_disk import fill, refused, small_disk  # noqa: F401  (a fixture)

from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.moving.pack import PackStep


@dataclass(frozen=True)
class Deed:
    """A command on the set at SET. `result`: what it makes, "" where it changes the set itself. `limits`: bytes that a
    file may have, too few for it. PACKED: the set in one file."""

    words: tuple[str, ...]
    result: str = ""
    limits: tuple[int, ...] = (300, 4_000)


DEEDS = {
    "sort": Deed(("faces", "sort", "SET", "--by", "hist", "--rename"), limits=(100,)),
    "clean": Deed(("faces", "clean", "SET", "--apply", "--best", "30")),
    "smooth": Deed(("faces", "smooth", "SET")),
    "mask": Deed(("mask", "apply", "SET", "--with", "mesh")),
    "resize": Deed(("faces", "resize", "SET", "OUT", "--side", "128", "--face-type", "half_face", "--invent"), "OUT"),
    "enhance": Deed(("faces", "enhance", "SET", "OUT"), "OUT"),
    "metadata": Deed(("faces", "metadata", "restore", "SET", "SET", "OUT"), "OUT"),
    "pack": Deed(("faces", "pack", "SET", "OUT.faces"), "OUT.faces", limits=(300, 4_000, 60_000)),
    "unpack": Deed(("faces", "unpack", "PACKED", "OUT"), "OUT"),
    "copy": Deed(("faces", "copy", "SET", "OUT"), "OUT"),
    "move": Deed(("faces", "move", "SET", "OUT"), "OUT"),
    "move-out": Deed(("faces", "people", "move-out", "SET", "person-1", "OUT"), "OUT"),
}


class World:
    """A set of the shipped film's faces in a folder of its own, and the commands on it."""

    def __init__(self, road: Road, folder: Path) -> None:
        self.folder, self.set, self.out = folder, folder / "set", folder / "out"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(road.output("extract"), self.set, ignore=shutil.ignore_patterns(".facewright", "index.sqlite*"))
        self.env = road.environment(folder / "home")
        self.ids = {row.face_id for row in Faceset.open(self.set).rows()}
        run(PackStep(str(self.set), str(folder / "set.faces")))

    def words(self, deed: Deed) -> list[str]:
        places = {"SET": str(self.set), "OUT": str(self.out), "OUT.faces": str(self.out.with_suffix(".faces")),
                  "PACKED": str(self.folder / "set.faces")}
        return [places.get(word, word) for word in deed.words]

    def check_alive(self) -> None:
        """Right after a kill: every face is there, whole, in the set or in its trash."""
        trash = self.set / ".facewright" / "trash"
        faces = Faceset.open(self.set)
        assert not faces.damaged()
        found = {row.face_id for row in faces.rows()}
        held = [path for path in trash.rglob("*") if path.suffix in (".jpg", ".png")] if trash.is_dir() else []
        for path in held:
            found.add(record.read_face(path).face_id)
        assert found == self.ids
        for row in faces.rows():
            assert record.read_image(self.set / row.path).shape[0] == row.side_px

    def state(self, deed: Deed) -> dict[str, Any]:
        """All that must be equal in the end: bytes of the faces, order files, and (of a file) its content."""
        place = self.set if not deed.result else self.out.with_suffix(Path(deed.result).suffix)
        if place.is_file():
            return contents_of(place)
        return {
            path.relative_to(place).as_posix(): digest(path) for path in sorted(place.rglob("*"))
            if path.is_file() and not path.name.startswith("index.sqlite") and ".facewright" not in path.parts
        }


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents_of(path: Path) -> dict[str, Any]:
    """Faces of a packed set."""
    faces = Faceset.open(path)
    return {row.path: hashlib.sha256(faces.files.read(row.path)).hexdigest() for row in faces.rows()}


@pytest.fixture(scope="session")
def undisturbed(forge: Forge, road: Road, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Name of a deed -> (state after it was left alone, its processor seconds)."""
    known: dict[str, tuple[dict[str, Any], float]] = {}

    def made(name: str) -> tuple[dict[str, Any], float]:
        if name not in known:
            world = World(road, tmp_path_factory.mktemp("alone") / name)
            done = forge.run(world.words(DEEDS[name]), world.env)
            assert done.code == 0, done.said
            world.check_alive()
            known[name] = world.state(DEEDS[name]), done.cpu_s
            shutil.rmtree(world.folder)
        return known[name]

    return made


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", DEEDS)
@pytest.mark.parametrize("kills", [2, pytest.param(35, marks=pytest.mark.slow)])
def test_killed_anywhere_nothing_is_lost(forge, road, undisturbed, tmp_path, name, kills):
    wanted, cpu_s = undisturbed(name)
    deed, rng, done, rounds = DEEDS[name], random.Random(f"{name}{kills}"), 0, 0
    while done < kills:
        world = World(road, tmp_path / str(rounds))
        for _ in range(min(4, kills - done)):
            process, moment = forge.start(world.words(deed), world.env), rng.uniform(0.02, 1.0) * cpu_s
            while process.running() and process.cpu_s() < moment:
                time.sleep(0.001)
            if process.running():
                process.kill()
            ended = process.end()
            if ended.code == 0:
                break
            assert ended.code == -signal.SIGKILL, ended.said
            done += 1
            world.check_alive()
        last = forge.run(world.words(deed), world.env)
        assert last.code == 0, last.said
        assert world.state(deed) == wanted
        assert roads.leftovers(world.folder) == []
        shutil.rmtree(world.folder)
        rounds += 1
        assert rounds < 6 * kills + 10, "it is done before it can be killed"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", DEEDS)
def test_a_limit_on_files(forge, road, undisturbed, tmp_path, name):
    wanted, _ = undisturbed(name)
    world, deed = World(road, tmp_path / "w"), DEEDS[name]
    for limit in deed.limits:
        refused(forge.run(world.words(deed), world.env, limit=limit))
        world.check_alive()
        assert roads.leftovers(world.folder) == []
    last = forge.run(world.words(deed), world.env)
    assert last.code == 0, last.said
    assert world.state(deed) == wanted


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", DEEDS)
def test_a_small_disk(forge, road, undisturbed, small_disk, name):  # noqa: F811
    wanted, _ = undisturbed(name)
    world, deed, ballast = World(road, small_disk / "w"), DEEDS[name], small_disk / "ballast"
    for room in (0, 30_000):
        fill(ballast, room)
        refused(forge.run(world.words(deed), world.env))
        ballast.unlink()
        world.check_alive()
        assert roads.leftovers(world.folder) == []
    last = forge.run(world.words(deed), world.env)
    assert last.code == 0, last.said
    assert world.state(deed) == wanted
