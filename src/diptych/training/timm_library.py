"""The door to ``timm``, which also opens beside a torch that has no part for GPUs.

timm imports torchvision, whose compiled part is of a torch with CUDA; beside another one its import
fails at operations that it then cannot describe. Networks do not use them, so they are declared.
"""

from functools import cache
from types import ModuleType

import torch

from diptych.core.extras import require

EXTRA = "timm"
NAMESPACE = "torchvision"
OPERATIONS = ("nms", "qnms")
TAKING = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def timm_library() -> ModuleType:
    """Import timm.

    Returns:
        The library.

    Raises:
        RuntimeError: If torchvision cannot be imported for another reason.
    """
    try:
        return require("timm", EXTRA)
    except RuntimeError as error:
        if f"{NAMESPACE}::" not in str(error):
            raise
        _declared()
        return require("timm", EXTRA)


@cache
def _declared() -> torch.library.Library:
    """Declare torchvision's operations, for as long as the process lasts."""
    library = torch.library.Library(NAMESPACE, "DEF")  # type: ignore[no-untyped-call]
    for operation in OPERATIONS:
        library.define(operation + TAKING)  # type: ignore[no-untyped-call]
    return library
