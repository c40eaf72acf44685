"""One way to lower a network, as a recipe plans it."""

from diptych.core.errors import ConfigError
from diptych.core.specs import Value
from diptych.core.values import Precision
from diptych.targets import Choice, Method, Runtime
from diptych.training.recipe import Share


class ProgramPlan(Value):
    """One way to lower a network.

    `method` is how int8 is had, or `reserve`, in any precision: only where those that are always
    tried lose too much in int8, or are too large. With `second_look` there is one more program,
    which also looks at the mirror images of this share of the pictures, where it is least sure.
    """

    runtime: Runtime
    precision: Precision
    method: Method = "calibrated"
    second_look: Share = 0.0

    def __post_init__(self) -> None:
        """Check what concerns more than one field.

        Raises:
            ConfigError: If the method is not one of this precision or runtime.
        """
        if self.method in {"guarded", "trained"} and self.precision != "int8":
            raise ConfigError(f"a program in {self.precision} is not {self.method}", "ask for int8")
        if self.method == "guarded" and self.runtime != "onnxruntime":
            raise ConfigError(
                f"a program for {self.runtime} is not guarded", 'ask for runtime = "onnxruntime"'
            )
        if self.second_look and (self.runtime, self.method) != ("litert", "calibrated"):
            raise ConfigError(
                f"a program for {self.runtime} ({self.method}) does not look again",
                'ask for runtime = "litert", without a method',
            )

    @property
    def choice(self) -> Choice:
        """The runtime and the precision."""
        return self.runtime, self.precision
