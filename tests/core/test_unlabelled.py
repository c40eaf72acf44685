import numpy as np

from diptych.core.unlabelled import Unlabelled


def test_their_own_inputs_are_the_last_ones() -> None:
    joined = np.arange(10)[:, None]
    more = Unlabelled(joined=joined, items=("a", "b", "c"))
    assert more.inputs.ravel().tolist() == [7, 8, 9]
    assert np.shares_memory(more.inputs, joined)
