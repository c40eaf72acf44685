"""``diptych compress``: a model that is there already and a budget in, the cheapest one out."""

from typing import Annotated

from typer import Argument, Context, Option

from diptych.cli.fit import STOPPING, conclude
from diptych.cli.options import (
    ImageSizeOption,
    JobsOption,
    JsonOption,
    LabelOption,
    NoCacheOption,
    OptionalDataArgument,
    OrderOption,
    OutOption,
    OutputOption,
    RecipeOption,
    SeedOption,
    SkipOption,
    TaskOption,
    TimeLimitOption,
    UnlabelledOption,
    ValidationOption,
    WeightsOption,
    order_of,
    task_of,
)
from diptych.cli.output import note, progress
from diptych.core.progress import stop_on_interrupt
from diptych.fitting.compress import compress
from diptych.fitting.fit import USUAL_BUDGET
from diptych.fitting.recipe import read_recipe
from diptych.fitting.settings import Settings
from diptych.targets import TARGETS

ModelArgument = Annotated[
    str,
    Argument(
        help="A bundle, an .onnx file, or file.py:FUNCTION that makes a torch.nn.Module.",
        metavar="MODEL",
    ),
]


def command(
    context: Context,
    model: ModelArgument,
    data: OptionalDataArgument = None,
    budget: Annotated[
        str, Option(help='Limits, such as "drop<=1%, p99<=2ms, size<=500KB".')
    ] = USUAL_BUDGET,
    weights: WeightsOption = None,
    output: OutputOption = None,
    target: Annotated[str, Option(help=f"Kind of hardware: {', '.join(TARGETS)}.")] = "cpu",
    out: OutOption = None,
    time_limit: TimeLimitOption = None,
    seed: SeedOption = None,
    recipe: RecipeOption = None,
    label: LabelOption = None,
    task: TaskOption = None,
    order: OrderOption = None,
    image_size: ImageSizeOption = None,
    validation_items: ValidationOption = None,
    skip_unreadable: SkipOption = False,
    no_cache: NoCacheOption = False,
    unlabelled: UnlabelledOption = None,
    jobs: JobsOption = 1,
    as_json: JsonOption = False,
) -> int:
    """Make a trained model as small and fast as a budget asks for: quantize, prune, distill."""
    with progress() as report, stop_on_interrupt(lambda: note(STOPPING)) as stop:
        goal, own = task_of(task)
        settings = Settings(
            target=target,
            recipe=read_recipe(recipe) if recipe else None,
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
            unlabelled=unlabelled,
            jobs=jobs,
            report=report,
            stop=stop,
            started=context.obj,
        )
        bundle = compress(
            model,
            data,
            budget,
            out=out,
            time_limit=time_limit,
            seed=seed,
            settings=settings,
        )
    return conclude(bundle, stopped=bool(stop), as_json=as_json)
