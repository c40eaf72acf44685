"""What a plan asks of a machine."""

from diptych.core.manifest import Machine
from diptych.training.recipe import Arithmetic

BF16_FLAGS = ("avx512_bf16", "amx_bf16")


def fast_arithmetic(machine: Machine) -> Arithmetic:
    """Say what the processor multiplies matrices of fastest.

    Args:
        machine: The machine.

    Returns:
        bfloat16 if it has instructions for it, else float32.
    """
    return "bf16" if any(flag in machine.flags for flag in BF16_FLAGS) else "fp32"
