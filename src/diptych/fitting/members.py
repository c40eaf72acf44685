"""Teachers that only teach: a function, and several models whose answers are averaged."""

from typing import Annotated

from msgspec import Meta

from diptych.core.specs import Value
from diptych.targets.adopted import ForeignConfig
from diptych.training.models import NetworkConfig
from diptych.training.start import StartPlan

MOST_MEMBERS = 64
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class FunctionConfig(Value, tag_field="name", tag="function"):
    """A user's function, by its module and name, and the hash of some of its answers.

    It is handed over again when a recipe is followed.
    """

    function: Annotated[str, Meta(min_length=1, max_length=4096)]
    sha256: Sha256


class Member(Value):
    """A model as it is: with the weights that it starts from, or by its own file or function."""

    network: NetworkConfig | ForeignConfig | FunctionConfig
    start: StartPlan | None = None


class EnsembleConfig(Value, tag_field="name", tag="ensemble"):
    """Models that take the same inputs and tell the same labels; they are not trained."""

    members: Annotated[tuple[Member, ...], Meta(min_length=2, max_length=MOST_MEMBERS)]
