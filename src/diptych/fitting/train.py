"""Training alone: one model, lowered as it is, in a bundle like any other."""

from pathlib import Path

from msgspec.structs import replace

from diptych.core.errors import ConfigError
from diptych.core.text import parse_duration
from diptych.core.values import Dataset
from diptych.fitting.budget import Budget
from diptych.fitting.fit import recipe_of, run_job
from diptych.fitting.job import open_job
from diptych.fitting.recipe import ModelPlan, ProgramPlan
from diptych.fitting.settings import SETTINGS, Settings
from diptych.inference.bundle import Bundle
from diptych.training.encoder import EncoderConfig
from diptych.training.trees import TreesConfig

NO_BUDGET = Budget()
AS_TRAINED = (ProgramPlan(runtime="onnxruntime", precision="fp32"),)


def train(
    data: str | Path | Dataset,
    *,
    out: str | Path | None = None,
    time_limit: str | float | None = None,
    seed: int | None = None,
    settings: Settings = SETTINGS,
) -> Bundle:
    """Train one model on labelled data; the same seed, machine and versions give the same weights.

    Args:
        data: A built-in name, a path, or data that was read before.
        out: The bundle's folder; by default the data's name with ``.dip`` in this folder.
        time_limit: Seconds, or such as ``"25m"``; without it the weights depend on nothing timed.
        seed: Of everything random; by default that of the recipe, or 0.
        settings: The rest; of a recipe only the first network is trained.

    Returns:
        The bundle, loaded.

    Raises:
        ConfigError: If there is a teacher among the settings.
    """
    if settings.teacher is not None:
        raise ConfigError("train makes one model without a teacher", "use fit")
    started = settings.begin()
    seconds = parse_duration(time_limit) if isinstance(time_limit, str) else time_limit
    job = open_job(data, NO_BUDGET, out, settings.seed(seed), settings)
    plan = recipe_of(job, seed, settings, timed=seconds is not None)
    network = next(p for p in (plan.teacher, *plan.students) if _is_network(p))
    recipe = replace(plan, teacher=network, students=(), programs=AS_TRAINED)
    return run_job(job, recipe, None if seconds is None else started + seconds, settings)


def _is_network(plan: ModelPlan) -> bool:
    return not isinstance(plan.network, TreesConfig | EncoderConfig)
