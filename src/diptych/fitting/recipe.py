"""The recipe of a whole fit: what is trained, how, and into which programs it is lowered.

A fit without a recipe plans one, and writes what it really did into the bundle; a fit with that
recipe does the same again.
"""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from diptych.core.errors import ConfigError
from diptych.core.values import Precision, Value
from diptych.targets import Choice, Runtime
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe


class ModelPlan(Value):
    """One network and how it is trained."""

    name: str
    network: ResidualNetConfig
    training: TrainingRecipe


class ProgramPlan(Value):
    """One way to lower a network."""

    runtime: Runtime
    precision: Precision

    @property
    def choice(self) -> Choice:
        """The runtime and the precision."""
        return self.runtime, self.precision


class FitRecipe(Value):
    """Everything a fit decides; students learn from the teacher, in this order."""

    teacher: ModelPlan
    students: tuple[ModelPlan, ...] = ()
    programs: tuple[ProgramPlan, ...] = ()
    calibration_items: Annotated[int, Meta(ge=16)] = 512
    seed: int = 0


def read_recipe(path: Path) -> FitRecipe:
    """Read a recipe from a TOML file, or from the bundle that a fit wrote.

    Args:
        path: A ``.toml`` file or a bundle's folder.

    Returns:
        The recipe.

    Raises:
        ConfigError: If there is none, or a setting is unknown or out of its range.
    """
    source = path / "bundle.json" if path.is_dir() else path
    try:
        text = source.read_bytes()
        settings = (
            msgspec.json.decode(text)["provenance"]["recipe"]
            if source.suffix == ".json"
            else tomllib.loads(text.decode())
        )
        return msgspec.convert(settings, FitRecipe)
    except OSError as error:
        raise ConfigError(
            f"cannot read the recipe {source}: {error.strerror}",
            "give a .toml file or the folder of a bundle",
        ) from error
    except (msgspec.MsgspecError, tomllib.TOMLDecodeError, KeyError, ValueError) as error:
        raise ConfigError(
            f"the recipe {source} cannot be used: {error}",
            "compare it with the recipe in a bundle's bundle.json, under provenance",
        ) from error
