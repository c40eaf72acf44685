"""The conditions of a benchmark: machine, versions, where the real data is."""

import os
import sys
from pathlib import Path

from diptych.core.text import size
from diptych.measure.machine import describe

ROOT = Path(__file__).parents[1]


def print_conditions() -> None:
    machine = describe()
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    print(f"machine: {machine.cpu}, {machine.cores} cores, {size(machine.memory_bytes)}")
    print(f"flags: {' '.join(machine.flags)}\nversions: Python {machine.python}, {versions}")


def data_folder(name: str) -> Path:
    folder = Path(os.environ.get("DIPTYCH_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.is_dir():
        sys.exit(f"no data at {folder}; set DIPTYCH_DATA to the folder that holds {name}")
    return folder
