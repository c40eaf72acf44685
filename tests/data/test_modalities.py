from typing import get_args

import numpy as np
import pytest

from diptych.core.progress import silent
from diptych.core.specs import ImageSpec
from diptych.data.modalities import MODALITIES
from diptych.data.raw import Kind, RawSplit
from diptych.data.reading import Options
from diptych.tasks import PREPARERS


def test_every_kind_of_input_but_a_users_own_can_be_read() -> None:
    assert set(MODALITIES) == set(get_args(Kind)) - {"own"}


def test_kinds_are_named_for_people_each_by_its_own_noun() -> None:
    nouns = [modality.noun for modality in MODALITIES.values()]
    assert len(set(nouns)) == len(nouns)
    assert all(noun.isalpha() and noun.endswith("s") for noun in nouns)


def test_what_is_learned_of_pictures_is_what_they_are_decoded_to() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (6, 5, 7), dtype=np.uint8)
    split = RawSplit(items=list("abcdef"), labels=[0, 1] * 3, contents=pictures)
    kind = MODALITIES["image"]
    learned = kind.learn({"train": split}, Options(), silent)
    inputs, rows, skipped = kind.decode("train", split, learned.spec, learned.assets, silent)
    assert learned.spec == ImageSpec(height=5, width=7, channels=1)
    np.testing.assert_array_equal(inputs[..., 0], pictures)
    assert (rows.tolist(), skipped) == ([0, 1, 2, 3, 4, 5], [])


@pytest.mark.parametrize("kind", sorted(MODALITIES))
def test_what_can_be_trained_on_can_be_predicted(kind: Kind) -> None:
    assert kind in {spec.__struct_config__.tag for spec in PREPARERS}
