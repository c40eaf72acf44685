"""Golden examples: what was measured is what this machine computes."""

import numpy as np
import pytest
from msgspec import structs

from diptych.core.errors import BundleError
from diptych.inference import golden
from diptych.inference.npz import write_arrays


class Echo:
    """A session that gives prepared logits, one row for each call."""

    def __init__(self, logits):
        self.rows = iter(logits)

    def run(self, batch):
        assert len(batch) == 1
        return next(self.rows)[None]

    def close(self):
        pass


@pytest.fixture
def program(tiny):
    return structs.replace(tiny.manifest.programs[0], tolerance=0.1)


def test_what_is_built_is_parsed_back(tiny):
    found = golden.parse(tiny.contents["golden.npz"], tiny.manifest)
    np.testing.assert_array_equal(found.inputs, tiny.inputs)
    for program in tiny.manifest.programs:
        np.testing.assert_allclose(
            found.expected[program.name], tiny.logits(tiny.inputs), rtol=1e-4, atol=1e-4
        )


def test_more_examples_than_a_file_may_hold_are_cut_alike():
    inputs = np.zeros((300, 2, 2, 1), np.uint8)
    data = golden.build(inputs, {"p": np.zeros((300, 2), np.float32)})
    arrays = golden.read_arrays(data)
    assert [len(array) for array in arrays.values()] == [golden.MAX_EXAMPLES] * 2


def examples(tiny, program, expected) -> golden.Golden:
    return golden.Golden(inputs=tiny.inputs, expected={program.name: expected})


def test_logits_within_the_tolerance_pass_and_beyond_it_fail(tiny, program):
    expected = tiny.logits(tiny.inputs).astype(np.float32)
    for shift, passes in ((0.0, True), (0.09, True), (0.11, False), (np.nan, False)):
        session = Echo((expected + np.float32(shift)).astype(np.float32))
        if passes:
            golden.check(session, program, examples(tiny, program, expected))
        else:
            with pytest.raises(BundleError, match="computes something else"):
                golden.check(session, program, examples(tiny, program, expected))


def test_the_error_says_how_far_and_how_many_labels_change(tiny, program):
    expected = np.zeros((4, 3), np.float32)
    expected[:, 0] = 1
    seen = expected.copy()
    seen[1] = [0, 3, 0]
    with pytest.raises(BundleError, match=r"differ by 3 \(tolerance 0.1\), and 1 of 4"):
        golden.check(Echo(seen), program, examples(tiny, program, expected))


@pytest.mark.parametrize("dtype_and_shape", [(np.float64, (3,)), (np.float32, (2,))])
def test_a_program_with_other_logits_is_refused(tiny, program, dtype_and_shape):
    dtype, shape = dtype_and_shape
    rows = np.zeros((4, *shape), dtype)
    with pytest.raises(BundleError, match="gives"):
        golden.check(Echo(rows), program, examples(tiny, program, np.zeros((4, 3), np.float32)))


def test_examples_that_do_not_belong_to_the_bundle_are_refused(tiny):
    logits = {program.name: np.zeros((4, 3), np.float32) for program in tiny.manifest.programs}
    good = {"inputs": tiny.inputs, **logits}
    name = tiny.manifest.programs[0].name
    wrong = [
        {**good, "inputs": tiny.inputs[:, :4]},
        {**good, "inputs": tiny.inputs.astype(np.float32)},
        {**good, "inputs": tiny.inputs[:0]},
        {**good, "inputs": np.zeros((300, 8, 8, 3), np.uint8)},
        {**good, name: np.zeros((3, 3), np.float32)},
        {**good, name: np.zeros((4, 3), np.uint8)},
        {key: value for key, value in good.items() if key != name},
        logits,
    ]
    golden.parse(write_arrays(good), tiny.manifest)
    for arrays in wrong:
        with pytest.raises(BundleError, match="golden"):
            golden.parse(write_arrays(arrays), tiny.manifest)


def test_large_examples_are_kept_as_far_as_there_is_room_and_one_always():
    for count, size, kept in ((3, 30 << 20, 1), (2, 49 << 20, 1), (4, 1 << 20, 4)):
        inputs = np.zeros((count, size), np.uint8)
        data = golden.build(inputs, {"p": np.zeros((count, 2), np.float32)})
        arrays = golden.read_arrays(data)
        assert [len(array) for array in arrays.values()] == [kept] * 2


def test_many_programs_of_many_labels_fit_in_a_file_that_can_be_read():
    inputs = np.zeros((256, 4), np.uint8)
    logits = {f"p{number}": np.zeros((256, 30_000), np.float32) for number in range(3)}
    arrays = golden.read_arrays(golden.build(inputs, logits))
    kept = golden.MAX_BYTES // (4 + 3 * 4 * 30_000)
    assert [len(array) for array in arrays.values()] == [kept] * 4


def test_a_single_number_does_not_change_its_label(tiny, program):
    expected = np.zeros((4, 1), np.float32)
    with pytest.raises(BundleError, match=r"outputs differ by 3 \(tolerance 0\.1\)$"):
        golden.check(Echo(expected + 3), program, examples(tiny, program, expected))
