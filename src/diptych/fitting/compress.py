"""A model that is there already and a budget in, the cheapest one that keeps it out.

The model teaches as it is and is a candidate itself; smaller ones are pruned from it where its
weights can be trained, and students are distilled: a fit with a teacher that is kept.
"""

import dataclasses
from pathlib import Path

from torch import nn
from torch.export import ExportedProgram

from diptych.core.errors import ConfigError, DataError
from diptych.core.values import DataRecord, Dataset
from diptych.data import read
from diptych.fitting.budget import Budget
from diptych.fitting.fit import USUAL_BUDGET, fit
from diptych.fitting.foreign import is_foreign
from diptych.fitting.given import make_given, take
from diptych.fitting.settings import SETTINGS, Settings
from diptych.fitting.starting import read_alike
from diptych.inference.bundle import Bundle
from diptych.inference.store import is_bundle
from diptych.tasks.code import CODE, is_code
from diptych.training.start import read_start

Model = str | Path | nn.Module | ExportedProgram
ACCEPTED = "give a bundle, an ONNX file, or file.py:FUNCTION that makes a torch.nn.Module"
MAY_HOLD_CODE = {".pt2", ".pt", ".pth", ".pkl", ".bin"}


def compress(  # noqa: PLR0913  a fit, and its model
    model: Model,
    data: str | Path | Dataset | None = None,
    budget: str | Budget = USUAL_BUDGET,
    *,
    out: str | Path | None = None,
    time_limit: str | float | None = None,
    seed: int | None = None,
    settings: Settings = SETTINGS,
) -> Bundle:
    """Make a model as small and fast as a budget asks for, and measure it.

    Args:
        model: A bundle, an ONNX file, ``file.py:FUNCTION`` or ``package.module:FUNCTION`` that
            makes a module, or a `torch.nn.Module` or an exported program as it is.
        data: A built-in name, a path, or data that was read before. May be left out for a bundle
            of data that can be found by its name and is still the same.
        budget: Such as ``"drop<=1%, p99<=2ms, size<=500KB"``; the drop is against the model.
        out: The bundle's folder; by default the model's name with ``-compressed.dip``.
        time_limit: Seconds, or such as ``"25m"``.
        seed: Of everything random; by default that of the model's bundle or the recipe, or 0.
        settings: The rest, the weights of a module and the choice of one of several outputs too.

    Returns:
        The bundle, loaded; its ``manifest.verdict`` says whether the budget is met.

    Raises:
        ConfigError: If the model, a setting or the budget cannot be used.
        DataError: If the data cannot be used.
    """
    settings = dataclasses.replace(taught_by(model, settings), compress=True)
    learned = _learned(settings)
    if seed is None and settings.recipe is None and learned is not None:
        seed = learned.seed
    if data is None:
        data = find_again(settings, learned)
    place = Path(f"{_name(model)}-compressed.dip") if out is None else out
    return fit(data, budget, out=place, time_limit=time_limit, seed=seed, settings=settings)


def taught_by(model: Model, settings: Settings) -> Settings:
    """Have a model teach.

    Args:
        model: As for :func:`compress`, or a Hugging Face folder.
        settings: The rest.

    Returns:
        The settings with that teacher.

    Raises:
        ConfigError: If it cannot be used.
    """
    report, file, output = settings.report, settings.weights, settings.output
    if isinstance(model, nn.Module | ExportedProgram):
        source = type(model).__name__
        given = take(model, source, report, file, output)
        return dataclasses.replace(settings, given=given)
    if isinstance(model, str) and is_code(model):
        given = make_given(model, report, file, output)
        return dataclasses.replace(settings, given=given)
    if not isinstance(model, str | Path):
        raise ConfigError(f"the model is of type {type(model).__name__}", ACCEPTED)
    path = Path(model)
    if path.suffix in MAY_HOLD_CODE:
        raise ConfigError(f"{path} may hold code, and is not opened", ACCEPTED)
    if file is not None:
        raise ConfigError(f"{path} comes with its weights", "leave --weights out")
    if output is not None and not is_foreign(path):
        raise ConfigError(f"{path} has one output", "leave --output out")
    return dataclasses.replace(settings, teacher=path)


def find_again(settings: Settings, learned: DataRecord | None) -> Dataset:
    """Read the data that a bundle was trained on.

    Args:
        settings: With the bundle that teaches.
        learned: What it says of its data.

    Returns:
        The data set.

    Raises:
        ConfigError: If it cannot be found by its name, or is not what it was.
    """
    bundle, give = settings.teacher, "give DATA"
    if not isinstance(bundle, Path) or learned is None:
        raise ConfigError("only a bundle says what it was trained on", give)
    start = read_start(bundle)
    options = read_alike(settings.reading(learned.seed), start)
    try:
        dataset = read(learned.name, options, settings.report)
    except DataError as error:
        raise ConfigError(
            f"{bundle} was trained on {learned.name!r}, which is not found here by this name", give
        ) from error
    if dataset.record.sha256 != learned.sha256:
        raise ConfigError(f"{learned.name!r} is not what {bundle} was trained on any more", give)
    return dataset


def _learned(settings: Settings) -> DataRecord | None:
    """Return what a bundle says of the data that it was trained on."""
    model = settings.teacher
    if not isinstance(model, Path) or is_foreign(model):
        return None
    if not model.exists():
        raise ConfigError(f"there is no {model}", ACCEPTED)
    if not is_bundle(model):
        raise ConfigError(f"{model} is no model that can be compressed", ACCEPTED)
    told = read_start(model).manifest
    return told.provenance.data if told else None


def _name(model: Model) -> str:
    """Name a model for a file."""
    if not isinstance(model, str | Path):
        return type(model).__name__.lower()
    if not is_code(str(model)):
        return Path(model).resolve().stem
    place = str(model).rpartition(":")[0]
    return Path(place).stem if place.endswith(CODE) else place.rpartition(".")[2]
