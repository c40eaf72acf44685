import pytest
from msgspec.structs import replace

from diptych.core.manifest import Machine
from diptych.fitting.plans.machines import computes_in_bf16


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), False),
        (("avx2", "avx512f"), False),
        (("avx2", "amx_bf16"), True),
        (("avx512_bf16",), True),
        (("bf16", "not_amx_bf16"), False),
    ],
)
def test_bfloat16_is_for_processors_that_multiply_it(
    machine: Machine, flags: tuple[str, ...], expected: bool
) -> None:
    assert computes_in_bf16(replace(machine, flags=flags)) is expected
