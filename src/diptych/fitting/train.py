"""Training alone: one model, lowered as it is, in a bundle like any other."""

from pathlib import Path

from msgspec.structs import replace

from diptych.core.text import parse_duration
from diptych.core.values import Dataset
from diptych.fitting.assembly import Job
from diptych.fitting.budget import Budget
from diptych.fitting.fit import read_data, run_job
from diptych.fitting.planner import plan_fit
from diptych.fitting.recipe import ProgramPlan
from diptych.fitting.settings import SETTINGS, Settings
from diptych.inference import store
from diptych.inference.bundle import Bundle
from diptych.measure.machine import describe

NO_BUDGET = Budget()
AS_TRAINED = (ProgramPlan(runtime="onnxruntime", precision="fp32"),)


def train(
    data: str | Path | Dataset,
    *,
    out: str | Path | None = None,
    time_limit: str | float | None = None,
    seed: int = 0,
    settings: Settings = SETTINGS,
) -> Bundle:
    """Train one model on labelled data; the same seed, machine and versions give the same weights.

    Args:
        data: A built-in name, a path, or data that was read before.
        out: The bundle's folder; by default the data's name with ``.dip`` in this folder.
        time_limit: Seconds, or such as ``"25m"``; without it the weights depend on nothing timed.
        seed: Of everything random.
        settings: The rest; of a recipe only the teacher is trained.

    Returns:
        The bundle, loaded.
    """
    started = settings.begin()
    seconds = parse_duration(time_limit) if isinstance(time_limit, str) else time_limit
    if out is not None:
        store.check_destination(Path(out))
    dataset = data if isinstance(data, Dataset) else read_data(data, seed, settings)
    destination = Path(out) if out is not None else Path(f"{dataset.record.name}.dip")
    store.check_destination(destination)
    machine = describe()
    plan = settings.recipe or plan_fit(dataset, NO_BUDGET, machine, seed, timed=seconds is not None)
    recipe = replace(plan, students=(), programs=AS_TRAINED)
    job = Job(dataset=dataset, budget=NO_BUDGET, machine=machine, destination=destination)
    return run_job(job, recipe, None if seconds is None else started + seconds, settings)
