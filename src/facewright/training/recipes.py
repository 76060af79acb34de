"""The recipes that are shipped, recipes/*.yaml, and those of the user: found by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from facewright.core.errors import SettingRefused
from facewright.training.recipe_file import read
from facewright.training.settings import TRAIN_SETTINGS
from facewright.training.stages import Recipe

FOLDER = Path(__file__).parent / "recipes"


def names() -> list[str]:
    """The shipped recipes: those for minutes and hours first."""
    first = ["original", "quick", "hour", "one-day", "standard", "rtm"]
    return first + sorted({path.stem for path in FOLDER.glob("*.yaml")} - set(first))


def recipe(name: str) -> Recipe:
    """The shipped recipe called `name`, or the one in a file NAME.yaml. Raises SettingRefused with the list,
    FileRefused (naming file, stage and key)."""
    if name in names():
        found = read(FOLDER / f"{name}.yaml")
        return replace(found, where=f"recipe {name}")
    if Path(name).suffix in (".yaml", ".yml"):
        return read(Path(name))
    raise SettingRefused(
        f"There is no recipe called {name!r}.", where="--recipe",
        remedy=f"Choose one of: {', '.join(names())}; or give a file of your own, NAME.yaml.",
    )


def text_of(name: str) -> str:
    """The file of a recipe, to begin one's own with. Raises as `recipe`."""
    shipped = name in names()
    recipe(name)
    return (FOLDER / f"{name}.yaml" if shipped else Path(name)).read_text(encoding="utf-8")


def checked(name: str) -> Recipe:
    """The recipe called `name`, tried with each of its nets; one that names none, with those that it suits. Raises as
    `recipe`, and SettingRefused naming stage and key, also where it suits no net at all."""
    found, refused = recipe(name), []
    for net in found.nets or TRAIN_SETTINGS:
        try:
            found.serves(net)
        except SettingRefused as error:
            refused.append(error)
    if len(refused) > (0 if found.nets else len(TRAIN_SETTINGS) - 1):
        raise refused[0]
    return found
