"""Diptych: labelled data and a budget in; a measured, self-serving model bundle out."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diptych.fitting.budget import Budget as Budget
    from diptych.fitting.compress import compress as compress
    from diptych.fitting.evaluate import evaluate as evaluate
    from diptych.fitting.fit import fit as fit
    from diptych.fitting.settings import Settings as Settings
    from diptych.fitting.train import resume as resume
    from diptych.fitting.train import train as train
    from diptych.inference.bundle import Bundle as Bundle
    from diptych.inference.bundle import load as load
    from diptych.tasks.own import Task as Task

__version__ = "0.1.0"

PUBLIC = {
    "fit": "diptych.fitting.fit",
    "compress": "diptych.fitting.compress",
    "resume": "diptych.fitting.train",
    "train": "diptych.fitting.train",
    "evaluate": "diptych.fitting.evaluate",
    "load": "diptych.inference.bundle",
    "Bundle": "diptych.inference.bundle",
    "Budget": "diptych.fitting.budget",
    "Settings": "diptych.fitting.settings",
    "Task": "diptych.tasks.own",
}

__all__ = [
    "Budget",
    "Bundle",
    "Settings",
    "Task",
    "compress",
    "evaluate",
    "fit",
    "load",
    "resume",
    "train",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that importing the package costs nothing."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'diptych' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
