"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

DataArgument = Annotated[str, Argument(help="A built-in name (digits) or a path.", metavar="DATA")]
BundleArgument = Annotated[Path, Argument(help="The bundle's folder.", metavar="BUNDLE")]
OutOption = Annotated[Path | None, Option(help="The bundle's folder [NAME.dip].")]
TimeLimitOption = Annotated[str | None, Option(help="Such as 90s, 25m or 1.5h.")]
SeedOption = Annotated[int | None, Option(help="Of everything random [the recipe's, or 0].")]
RecipeOption = Annotated[
    Path | None, Option(help="A .toml recipe, or a bundle whose making is done again.")
]
LabelOption = Annotated[str | None, Option(help="The label's column, for tables.")]
ImageSizeOption = Annotated[int | None, Option(help="Side of the pictures, in pixels.")]
SkipOption = Annotated[
    bool, Option("--skip-unreadable", help="Leave damaged items out and count them.")
]
JsonOption = Annotated[bool, Option("--json", help="Print one JSON document.")]
