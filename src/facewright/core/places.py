"""Where the machine's own things live: records and keys, cache, settings.

`FACEWRIGHT_HOME` puts all three under one folder (tests, portable installs); else the platform's usual places.
"""

from __future__ import annotations

import os
from pathlib import Path

from facewright.core.files import make_folder


def data_folder() -> Path:
    """Consent records, keys, ledger of work outside any project."""
    return _place("data")


def cache_folder() -> Path:
    """Weights and other things that can be made or fetched again."""
    return _place("cache")


def config_folder() -> Path:
    """Machine facts: devices, cache place, port."""
    return _place("config")


def _place(kind: str) -> Path:
    home = os.environ.get("FACEWRIGHT_HOME")
    if home:
        return make_folder(Path(home) / kind)
    import platformdirs

    folder = {
        "data": platformdirs.user_data_path,
        "cache": platformdirs.user_cache_path,
        "config": platformdirs.user_config_path,
    }[kind]("facewright", appauthor=False)
    return make_folder(folder)
