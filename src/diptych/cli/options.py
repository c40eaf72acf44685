"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated, get_args

from typer import Argument, Option

from diptych.core.errors import ConfigError
from diptych.core.text import nearest
from diptych.core.values import Goal
from diptych.tasks.own import Task, find

DataArgument = Annotated[str, Argument(help="A built-in name (digits) or a path.", metavar="DATA")]
OptionalDataArgument = Annotated[
    str | None, Argument(help="A built-in name (digits) or a path.", metavar="DATA")
]
BundleArgument = Annotated[Path, Argument(help="The bundle's folder.", metavar="BUNDLE")]
AgainstOption = Annotated[
    Path | None, Option(help="Another bundle: tell what is lost against it on the same items.")
]
OutOption = Annotated[
    Path | None, Option(help="The bundle's folder [NAME.dip; of compress NAME-compressed.dip].")
]
TimeLimitOption = Annotated[str | None, Option(help="Such as 90s, 25m or 1.5h.")]
SeedOption = Annotated[
    int | None, Option(help="Of everything random [the bundle's or recipe's, or 0].")
]
RecipeOption = Annotated[
    Path | None, Option(help="A .toml recipe, or a bundle whose making is done again.")
]
TeacherOption = Annotated[
    list[str] | None,
    Option(
        help="Who teaches: a bundle, an .onnx file (pictures), file.py:FUNCTION that makes a "
        "torch.nn.Module, or a Hugging Face folder; several bundles and files teach together."
    ),
]
UnlabelledOption = Annotated[
    Path | None,
    Option(help="More items without labels, a folder or file: the teacher's answers are learned."),
]
WeightsOption = Annotated[
    Path | None, Option(help="A .safetensors file with the weights of file.py:FUNCTION.")
]
OutputOption = Annotated[
    str | None, Option(help="Which output are the scores: a name, or the number of one of several.")
]
StartOption = Annotated[
    Path | None,
    Option(help="Start from a bundle, a .safetensors file, a Hugging Face folder or timm:NAME."),
]
LabelOption = Annotated[str | None, Option(help="The label's column, for tables and text.")]
TaskOption = Annotated[
    str | None,
    Option(
        help="classification, multi-label, ordinal, regression [by the labels], or file.py:TASK."
    ),
]
OrderOption = Annotated[
    str | None, Option(help="Ordinal classes from least to most, such as low,medium,high.")
]
ImageSizeOption = Annotated[int | None, Option(help="Side of the pictures, in pixels.")]
ValidationOption = Annotated[
    int | None,
    Option(
        "--validation-items",
        min=1,
        help="Items of train held back for validation [a tenth, 5,000 at most].",
    ),
]
SkipOption = Annotated[
    bool, Option("--skip-unreadable", help="Leave damaged items out and count them.")
]
NoCacheOption = Annotated[
    bool, Option("--no-cache", help="Decode the data anew, and keep nothing of it.")
]
DeviceOption = Annotated[
    str | None, Option(help="Where to train: cpu or cuda [cuda if there is one].")
]
DevicesOption = Annotated[
    int,
    Option(
        min=1, max=64, help="By how many processes a network, or the teacher of a fit, is trained."
    ),
]
JobsOption = Annotated[
    int,
    Option(min=1, max=64, help="How many students are trained at once, each by its own process."),
]
ShardOption = Annotated[
    bool, Option("--shard", help="Spread the weights over the devices, for large networks.")
]
AccumulationOption = Annotated[
    int | None,
    Option(min=2, help="Under torchrun: compute each batch in at least so many parts now."),
]
TuneOption = Annotated[
    bool, Option("--tune", help="First try how this machine computes fastest, and record it.")
]
RunOption = Annotated[Path | None, Option(help="The folder of checkpoints and records [NAME.run].")]
CheckpointOption = Annotated[
    str, Option(help="How often a checkpoint is written, such as 10s or 5m.")
]
ResumeOption = Annotated[
    Path | None, Option(help="Go on with the run in this folder, from its last checkpoint.")
]
JsonOption = Annotated[bool, Option("--json", help="Print one JSON document.")]


def task_of(task: str | None) -> tuple[Goal | None, Task | None]:
    """Read what is to be told of an item: a goal's name, or a user's own task.

    Args:
        task: A goal, an entry point's name, or ``file.py:TASK``, if any.

    Returns:
        The goal, the user's task.

    Raises:
        ConfigError: If there is no such goal or task.
    """
    if task is None:
        return None, None
    goals: tuple[Goal, ...] = get_args(Goal)
    for goal in goals:
        if task == goal:
            return goal, None
    try:
        own = find(task)
    except ConfigError as error:
        hint = f"{nearest(task, goals)}; {error.hint}"
        raise ConfigError(error.message, hint) from error
    return own.goal, own


def order_of(order: str | None) -> tuple[str, ...] | None:
    """Read the order of classes.

    Args:
        order: Their names from least to most, with commas between, if any.

    Returns:
        The names.
    """
    return None if order is None else tuple(word.strip() for word in order.split(","))
