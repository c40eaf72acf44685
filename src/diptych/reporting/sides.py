"""The two panels side by side: one table of text that HTML and Markdown share."""

from dataclasses import dataclass, replace

from diptych.core import text
from diptych.core.manifest import Manifest
from diptych.core.values import Energy, Estimate, ModelSummary
from diptych.inference.runtimes import RUNTIMES
from diptych.reporting import answers, scores
from diptych.reporting.inputs import describe
from diptych.reporting.numbers import count, interval, measured, plural, scaled, significant

TAKEN = {"Data handled", "Compute", "Time", "Throughput", "Energy", "Cost"}
"""The rows that tell what training took."""
PROCESSOR_ONLY = "of the processor only"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing, as each panel has it; each panel's text is its lines, the first the main one."""

    what: str
    training: tuple[str, ...]
    inference: tuple[str, ...]


def rows(manifest: Manifest) -> tuple[Row, ...]:
    """Compare the two panels of a bundle.

    Args:
        manifest: The bundle.

    Returns:
        The rows, in reading order.
    """
    makers = (
        _purpose, _example, _data, _compute, _time, _throughput, _model, _scores,
        _hardware, _energy, _cost,
    )  # fmt: skip
    told = tuple(maker(manifest) for maker in makers)
    if manifest.training.seconds:
        return told
    nothing = ("none was needed",)
    return tuple(replace(row, training=nothing) if row.what in TAKEN else row for row in told)


def breakeven(manifest: Manifest) -> str:
    """Say after how many predictions inference has used as much energy as training did.

    Args:
        manifest: The bundle.

    Returns:
        One sentence.
    """
    number, training = manifest.breakeven_predictions, manifest.training
    if not training.seconds:
        return "Nothing was trained here, so no break-even."
    if manifest.model.energy is None:
        return "The energy of a prediction was not measured, so no break-even."
    if _seen(manifest):
        return "The energy of a prediction is that of the processor only, so no break-even."
    if not comparable(manifest):
        return "Training and inference energy were not had in the same way, so no break-even."
    if number is None:
        return "A prediction used too little energy to be measured, so no break-even."
    return (
        f"Inference overtakes training after about {count(float(f'{number:.1e}'))} predictions "
        f"(energy, both {training.energy.label})."
    )


def comparable(manifest: Manifest) -> bool:
    """Say whether the energies of the two panels may be compared.

    Args:
        manifest: The bundle.

    Returns:
        True where both are known and carry the same label, and no GPU is left out of a prediction.
    """
    used, model = (manifest.training.energy, manifest.training.gpu_energy), manifest.model.energy
    if model is None or _seen(manifest):
        return False
    return {one.label for one in used if one} == {model.label}


def estimate(value: Estimate, unit: str) -> tuple[str, str]:
    """Write an estimate, and apart from it its interval and n.

    Args:
        value: The estimate.
        unit: Its unit, as in :func:`diptych.core.text.quantity`.

    Returns:
        Such as ``"93.4 %"`` and ``"92.9 to 93.9 %, n = 10,000"``; where nothing is known,
        ``"unknown"`` and why.
    """
    if not value.n:
        return scores.UNKNOWN, value.method
    bounds = interval(value.low, value.high, unit, n=value.n)
    return measured(value.value, value.low, value.high, unit), f"{bounds}, n = {value.n:,}"


def energy(value: Energy) -> tuple[str, str]:
    """Write an energy, and how it was had.

    Args:
        value: The energy.

    Returns:
        Such as ``"11 kJ"`` and ``"modelled, 6 kJ to 21 kJ"``.
    """
    low, high = scaled(value.low_j, "J"), scaled(value.high_j, "J")
    bounds = f", {low} to {high}" if value.high_j > value.low_j else ""
    return scaled(value.value_j, "J"), f"{value.label}{bounds}"


def part(runtime: str | None) -> str:
    """Say of what energy and cost are, where that is not all that computes.

    Args:
        runtime: What computes a program; None where it is not known.

    Returns:
        ``of the processor only`` where it computes on a GPU, which is not measured; else nothing.
    """
    engine = RUNTIMES.get(runtime or "")
    return PROCESSOR_ONLY if engine and engine.needs_gpu else ""


def _purpose(manifest: Manifest) -> Row:
    return Row(
        what="Purpose",
        training=("Learn the weights", "throughput first, once"),
        inference=("Answer one request", "latency and energy first, every time"),
    )


def _example(manifest: Manifest) -> Row:
    return Row(
        what="Example",
        training=(f"{manifest.teacher.name}, learning from {manifest.provenance.data.name}",),
        inference=(
            f"{describe(manifest.input).item} in",
            answers.told(manifest),
        ),
    )


def _data(manifest: Manifest) -> Row:
    training, tensor = manifest.training, manifest.input.tensor()
    items = manifest.provenance.data.counts.get("train", 0)
    return Row(
        what="Data handled",
        training=(
            f"{count(items)} items, {text.size(training.data_bytes)}",
            f"{count(training.samples)} samples seen over all epochs",
        ),
        inference=(
            f"{text.size(tensor.item_bytes)} per request",
            describe(manifest.input).form,
        ),
    )


def _compute(manifest: Manifest) -> Row:
    return Row(
        what="Compute",
        training=(scaled(manifest.training.flops, "FLOP"), "in total"),
        inference=(scaled(manifest.model.flops, "FLOP"), "per prediction"),
    )


def _time(manifest: Manifest) -> Row:
    training, model = manifest.training, manifest.model
    named = (("p99", model.p99_ms), ("p50", model.p50_ms), ("cold start", model.cold_ms))
    lines = [line for name, value in named if value for line in _named(name, value, "ms")]
    return Row(
        what="Time",
        training=(
            text.duration(training.seconds),
            f"{text.duration(training.cpu_seconds)} of processor time",
        ),
        inference=tuple(lines) or ("not measured",),
    )


def _throughput(manifest: Manifest) -> Row:
    training, p50 = manifest.training, manifest.model.p50_ms
    rate = training.samples / training.seconds if training.seconds else 0.0
    single = f"{significant(1000 / p50.value, 2)} per second" if p50 else "not measured"
    return Row(
        what="Throughput",
        training=(f"{significant(rate, 2)} samples per second",),
        inference=(single, "one request after the other, from p50") if p50 else (single,),
    )


def _model(manifest: Manifest) -> Row:
    teacher, model = manifest.teacher, manifest.model
    kind = " ".join(word for word in (model.precision, model.runtime) if word)
    small = _parameters(model)
    if model.size_bytes is not None:
        small = (", ".join((*small, text.size(model.size_bytes))),)
    return Row(
        what="Model",
        training=(teacher.name, *_parameters(teacher)),
        inference=(f"{model.name}, {kind}" if kind else model.name, *small, *_unverified(manifest)),
    )


def _unverified(manifest: Manifest) -> tuple[str, ...]:
    """Say why the first program could not run where it was made, if so."""
    return tuple(f"unverified: {p.unverified}" for p in manifest.programs[:1] if p.unverified)


def _parameters(model: ModelSummary) -> tuple[str, ...]:
    return (f"{count(model.parameters)} parameters",) if model.parameters else ()  # trees have none


def _scores(manifest: Manifest) -> Row:
    model = manifest.model
    drop = _named("drop", model.drop, "fraction") if model.drop else ()
    return Row(
        what=f"{scores.title(manifest.score_name)} on the test split",
        training=scores.lines(manifest.teacher.scores),
        inference=(*scores.lines(model.scores), *drop),
    )


def _hardware(manifest: Manifest) -> Row:
    machine, model = manifest.machine, manifest.model
    threads = next((program.threads for program in manifest.programs), 1)
    memory = f", {text.size(model.memory_bytes)} of memory" if model.memory_bytes else ""
    return Row(
        what="Hardware",
        training=(
            machine.cpu,
            f"{plural(machine.cores, 'core')}, {text.size(machine.memory_bytes)}",
        ),
        inference=(machine.cpu, f"{plural(threads, 'thread')}{memory}"),
    )


def _energy(manifest: Manifest) -> Row:
    value, gpus = manifest.model.energy, manifest.training.gpu_energy
    training: tuple[str, ...] = energy(manifest.training.energy)
    if gpus is not None:
        training = (*training, "and {} of the GPU ({})".format(*energy(gpus)))
    if value is None:
        return Row(what="Energy", training=training, inference=("not measured",))
    amount, how = energy(value)
    told = (f"{amount} per prediction", how, *_seen(manifest))
    return Row(what="Energy", training=training, inference=told)


def _cost(manifest: Manifest) -> Row:
    cost = manifest.model.cost_usd_per_million
    told: tuple[str, ...] = ("not measured",)
    if cost is not None:
        per_million = f"${significant(cost, 2)} per million"
        told = (per_million, "at a declared price", *_seen(manifest))
    paid = f"${significant(manifest.training.cost_usd, 2)}"
    left_out = (PROCESSOR_ONLY,) if manifest.training.gpu_energy else ()
    training = (paid, "once, at a declared price", *left_out)
    return Row(what="Cost", training=training, inference=told)


def _seen(manifest: Manifest) -> tuple[str, ...]:
    """Say so where energy and cost leave out the GPU that computes."""
    told = part(manifest.model.runtime)
    return (told,) if told else ()


def _named(name: str, value: Estimate, unit: str) -> tuple[str, ...]:
    # p99 is a headline with its bounds below; anything else takes one line.
    number, bounds = estimate(value, unit)
    return (f"{name} {number}", bounds) if name == "p99" else (f"{name} {number} ({bounds})",)
