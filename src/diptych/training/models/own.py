"""A network of a user's own task, by its width alone: the task builds it."""

from typing import Annotated

from msgspec import Meta

from diptych.core.specs import Value


class OwnConfig(Value, tag_field="name", tag="own"):
    """How wide the task's network is, 1 for the teacher."""

    width: Annotated[float, Meta(gt=0.0, le=64.0)] = 1.0

    def scaled(self, factor: float) -> "OwnConfig":
        """Make the network narrower or wider.

        Args:
            factor: What to multiply the width by.

        Returns:
            The scaled shape.
        """
        return OwnConfig(width=self.width * factor)
