"""name -> factory, with licence, weights and needs: the plug points of the house.

Outside packages register through the entry-point group `facewright.plugs`; such an entry point is a function
that takes the registry's kind (e.g. "detectors") and returns a list of Plug.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from facewright.core.errors import SettingRefused


@dataclass(frozen=True, slots=True)
class Plug:
    """One entry. `target` is an import string `package.module:attribute`, loaded on first use."""

    name: str
    target: str
    help: str
    licence: str = "Apache-2.0"
    weights: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(slots=True)
class Registry:
    """An ordered set of plugs of one kind."""

    kind: str
    plugs: dict[str, Plug] = field(default_factory=dict)
    _outside_loaded: bool = False

    def add(self, plug: Plug) -> None:
        """Register; the same name twice is a programming error."""
        if plug.name in self.plugs:
            raise ValueError(f"{self.kind} {plug.name!r} is registered twice")
        self.plugs[plug.name] = plug

    def names(self) -> list[str]:
        """All names, built-in ones first."""
        self._load_outside()
        return list(self.plugs)

    def plug(self, name: str) -> Plug:
        """The entry called `name`. Raises SettingRefused with the list of names."""
        self._load_outside()
        if name not in self.plugs:
            raise SettingRefused(
                f"There is no {self.kind.removesuffix('s')} called {name!r}.",
                remedy=f"Choose one of: {', '.join(self.plugs)}.", where=name,
            )
        return self.plugs[name]

    def load(self, name: str) -> Any:
        """Import and return the entry's factory."""
        module, _, attribute = self.plug(name).target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __iter__(self) -> Iterator[Plug]:
        self._load_outside()
        return iter(list(self.plugs.values()))

    def _load_outside(self) -> None:
        if self._outside_loaded:
            return
        self._outside_loaded = True
        for point in entry_points(group="facewright.plugs"):
            for plug in point.load()(self.kind):
                if plug.name not in self.plugs:
                    self.plugs[plug.name] = plug
