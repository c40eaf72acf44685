"""A lowered program as a bundle lists it; beside one for a graphics processor, its stand-in.

The stand-in opens the same files, so that the bundle answers where there is no such processor.

Shapes: N examples, K outputs.
"""

import numpy as np
from msgspec.structs import replace

from diptych.core.values import Program
from diptych.inference import store
from diptych.inference.runtimes import RUNTIMES
from diptych.targets.lower import LoweredProgram
from diptych.targets.parity import tolerance


def pack(
    lowered: LoweredProgram, outputs: np.ndarray, unverified: str = "", threads: int = 1
) -> tuple[Program, ...]:
    """List a program, and its stand-in if it has one.

    Args:
        lowered: The program.
        outputs: float32 (N, K), what it or its stand-in gave for the golden examples.
        unverified: Why it could not run here, if it could not.
        threads: Those of one call.

    Returns:
        One program or two, with the same files.
    """
    program = Program(
        name=lowered.name,
        runtime=lowered.runtime,
        precision=lowered.precision,
        files=tuple(store.record(name, data) for name, data in lowered.contents.items()),
        input=lowered.input,
        output=lowered.output,
        tolerance=tolerance(outputs, lowered.precision),
        threads=threads,
        unverified=unverified,
    )
    stand_in = RUNTIMES[program.runtime].stand_in
    if not stand_in:
        return (program,)
    name = program.name.replace(program.runtime, stand_in)
    return program, replace(program, name=name, runtime=stand_in, unverified="")
