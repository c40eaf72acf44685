"""``diptych fit``: data and a budget in, a measured bundle out."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Context, Option

from diptych.cli.options import (
    DataArgument,
    DevicesOption,
    ImageSizeOption,
    JobsOption,
    JsonOption,
    LabelOption,
    NoCacheOption,
    OrderOption,
    OutOption,
    OutputOption,
    RecipeOption,
    SeedOption,
    SkipOption,
    TaskOption,
    TeacherOption,
    TimeLimitOption,
    UnlabelledOption,
    ValidationOption,
    WeightsOption,
    order_of,
    task_of,
)
from diptych.cli.output import (
    figure,
    is_known,
    note,
    plain,
    print_json,
    progress,
    verdict_table,
)
from diptych.core.errors import ConfigError
from diptych.core.manifest import Manifest
from diptych.core.progress import stop_on_interrupt
from diptych.core.text import duration, quantity
from diptych.core.values import Estimate, ModelSummary
from diptych.fitting.budget import Budget
from diptych.fitting.compress import taught_by
from diptych.fitting.costs import measured
from diptych.fitting.fit import USUAL_BUDGET, fit
from diptych.fitting.foreign import is_foreign
from diptych.fitting.recipe import read_recipe
from diptych.fitting.settings import Settings
from diptych.inference.bundle import Bundle
from diptych.reporting.damage import line
from diptych.targets import TARGETS
from diptych.tasks.goals import unit_of

STOPPING = "stopping: writing the best bundle so far (Ctrl-C again to leave at once)"
UNMET = 3


def command(
    context: Context,
    data: DataArgument,
    budget: Annotated[
        str, Option(help='Limits, such as "drop<=1%, p99<=2ms, size<=500KB".')
    ] = USUAL_BUDGET,
    target: Annotated[str, Option(help=f"Kind of hardware: {', '.join(TARGETS)}.")] = "cpu",
    out: OutOption = None,
    time_limit: TimeLimitOption = None,
    seed: SeedOption = None,
    recipe: RecipeOption = None,
    teacher: TeacherOption = None,
    unlabelled: UnlabelledOption = None,
    weights: WeightsOption = None,
    output: OutputOption = None,
    label: LabelOption = None,
    task: TaskOption = None,
    order: OrderOption = None,
    image_size: ImageSizeOption = None,
    validation_items: ValidationOption = None,
    skip_unreadable: SkipOption = False,
    no_cache: NoCacheOption = False,
    devices: DevicesOption = 1,
    jobs: JobsOption = 1,
    as_json: JsonOption = False,
) -> int:
    """Train, distill, quantize and measure until a model meets the budget."""
    with progress() as report, stop_on_interrupt(lambda: note(STOPPING)) as stop:
        goal, own = task_of(task)
        settings = Settings(
            target=target,
            recipe=read_recipe(recipe) if recipe else None,
            unlabelled=unlabelled,
            weights=weights,
            output=output,
            label=label,
            goal=goal,
            task=own,
            order=order_of(order),
            image_size=image_size,
            validation_items=validation_items,
            skip_unreadable=skip_unreadable,
            cache=not no_cache,
            devices=devices,
            jobs=jobs,
            report=report,
            stop=stop,
            started=context.obj,
        )
        if teacher:
            settings = _taught(teacher, settings)
        elif weights is not None or output is not None:
            raise ConfigError("--weights and --output are of a teacher", "give --teacher too")
        bundle = fit(data, budget, out=out, time_limit=time_limit, seed=seed, settings=settings)
    return conclude(bundle, stopped=bool(stop), as_json=as_json)


def _taught(teachers: Sequence[str], settings: Settings) -> Settings:
    """Have one model teach, or several together."""
    if len(teachers) == 1:
        return taught_by(teachers[0], settings)
    paths = tuple(Path(each) for each in teachers)
    if settings.weights is not None:
        raise ConfigError(
            f"{len(paths)} teachers come with their weights, and --weights is {settings.weights}",
            "leave --weights out",
        )
    if settings.output is not None and not any(map(is_foreign, paths)):
        raise ConfigError(
            f"no teacher is an ONNX file, and --output is {settings.output!r}",
            "leave --output out",
        )
    return replace(settings, teacher=paths)


def conclude(bundle: Bundle, *, stopped: bool, as_json: bool) -> int:
    """Say what came out of a fit.

    Args:
        bundle: What it made; closed here.
        stopped: Whether a person ended it early.
        as_json: Whether to print one JSON document.

    Returns:
        The exit code.
    """
    if stopped:
        note("the fit is not over; the same command goes on with it")
    with bundle:
        manifest = bundle.manifest
        if as_json:
            print_json(document(bundle.path, manifest))
        else:
            print(summary(bundle.path, manifest))
    return 0 if manifest.verdict == "PASS" else UNMET


def document(path: Path, manifest: Manifest) -> dict[str, object]:
    """Make the JSON document of a fit.

    Args:
        path: The bundle's folder.
        manifest: What is in it.

    Returns:
        Keys as the design names them; what is not known is None.
    """
    training = manifest.training
    return {
        "bundle": str(path),
        "task": manifest.task,
        "verdict": manifest.verdict,
        "terms": plain(manifest.terms),
        "untrained": list(manifest.untrained),
        "relaxations": plain(manifest.relaxations),
        "teacher": _model(manifest.teacher),
        "model": _model(manifest.model),
        "unverified": manifest.programs[0].unverified or None,
        "training": {
            "seconds": training.seconds,
            "samples": training.samples,
            "energy_j": training.energy.value_j,
            "energy_label": training.energy.label,
            "gpu_energy_j": training.gpu_energy.value_j if training.gpu_energy else None,
            "gpu_energy_label": training.gpu_energy.label if training.gpu_energy else None,
            "flops": training.flops,
            "cost_usd": training.cost_usd,
        },
        "breakeven_predictions": manifest.breakeven_predictions,
        "damage": plain(manifest.damage),
        "interrupted": manifest.provenance.interrupted,
        "warnings": list(manifest.provenance.data.warnings),
    }


def summary(path: Path, manifest: Manifest) -> str:
    """Say in a few lines what came out.

    Args:
        path: The bundle's folder.
        manifest: What is in it.

    Returns:
        The verdict table, the model, and where the bundle and its page are.
    """
    teacher, seconds = manifest.teacher, manifest.training.seconds
    lines = [verdict_table(manifest.terms), "", f"{manifest.verdict}: {_model_line(manifest)}"]
    score = figure(teacher.score, unit_of(manifest.score_name))
    lines.append(f"teacher: {manifest.score_name} {score}, {_made_of(teacher)}")
    lines.append(
        f"training: {duration(seconds)} in all" if seconds else "training: none was needed"
    )
    if manifest.damage is not None:
        lines.append(f"damage: {line(manifest.damage)}")
    if manifest.verdict != "PASS":
        lines += ["", *_unmet_lines(manifest)]
    lines += [f"warning: {warning}" for warning in manifest.provenance.data.warnings]
    lines += ["", f"bundle: {path}"]
    page = path / "report.html"
    lines.append(f"report: {page}" if page.exists() else "report: pip install 'diptych[report]'")
    return "\n".join(lines)


def _model_line(manifest: Manifest) -> str:
    model = manifest.model
    parts = [f"{model.name} as {model.precision} on {model.runtime}"]
    parts += [f"{name} {figure(s, unit_of(name))}" for name, s in model.scores.items()]
    if model.p50_ms:
        parts.append(f"p50 {figure(model.p50_ms, 'ms')}")
    if model.size_bytes:
        parts.append(quantity(model.size_bytes, "bytes"))
    looks = [each.second_looks for each in manifest.candidates if each.chosen]
    parts += [f"looks again at {quantity(share, 'fraction')}" for share in looks if share]
    parts += [f"unverified: {p.unverified}" for p in manifest.programs[:1] if p.unverified]
    return ", ".join(parts)


def _made_of(model: ModelSummary) -> str:
    return f"{model.parameters:,} parameters" if model.parameters else model.name


def _unmet_lines(manifest: Manifest) -> list[str]:
    budget = Budget.parse(manifest.budget)
    lines = ["nearest, on the validation split:"]
    for near in (c for name in manifest.nearest for c in manifest.candidates if c.name == name):
        known = [(term, measured(near, term.name)) for term in budget.terms]
        parts = [f"{term.name} {quantity(e.value, term.unit)}" for term, e in known if e and e.n]
        lines.append(f"  {near.name}: {', '.join(parts)}")
    if manifest.untrained:
        names = ", ".join(manifest.untrained)
        lines.append(f"not trained, for there was no time left: {names}; give more time")
    units = {term.name: term.unit for term in manifest.terms}
    for offer in manifest.relaxations[:1]:
        needed = quantity(offer.needed, units[offer.term])
        lines.append(f"cheapest relaxation: {offer.term} {needed} lets {offer.candidate} pass")
    if not manifest.relaxations:
        lines.append("no single relaxation is enough; give more time, or relax several terms")
    return lines


def _model(model: ModelSummary) -> dict[str, object]:
    energy = model.energy if model.energy and math.isfinite(model.energy.high_j) else None
    return {
        "name": model.name,
        **{name: _known(score) for name, score in model.scores.items()},
        **{f"{name}_low": _known(score, "low") for name, score in model.scores.items()},
        **{f"{name}_high": _known(score, "high") for name, score in model.scores.items()},
        "n": model.score.n,
        "drop": _known(model.drop),
        "p50_ms": _known(model.p50_ms),
        "p99_ms": _known(model.p99_ms),
        "size_bytes": model.size_bytes,
        "energy_mj": 1e3 * energy.value_j if energy else None,
        "energy_label": energy.label if energy else None,
        "runtime": model.runtime,
        "precision": model.precision,
        "parameters": model.parameters,
        "flops": model.flops,
        "memory_bytes": model.memory_bytes,
        "cold_ms": _known(model.cold_ms),
    }


def _known(estimate: Estimate | None, part: str = "value") -> float | None:
    return getattr(estimate, part) if estimate is not None and is_known(estimate) else None
