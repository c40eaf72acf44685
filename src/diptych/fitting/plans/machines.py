"""What a plan asks of a machine."""

from diptych.core.manifest import Machine

BF16_FLAGS = ("avx512_bf16", "amx_bf16")


def computes_in_bf16(machine: Machine) -> bool:
    """Say whether the processor multiplies matrices of bfloat16 faster than those of float32.

    Args:
        machine: The machine.

    Returns:
        True if it has instructions for it.
    """
    return any(flag in machine.flags for flag in BF16_FLAGS)
