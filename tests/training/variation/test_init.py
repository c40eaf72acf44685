from typing import Any

import msgspec
import pytest
import torch

from diptych.training.recipe import TrainingRecipe
from diptych.training.variation import BATCHES, PictureVariation, batches_of
from diptych.training.variation.pictures import PictureBatches

PIXELS = torch.arange(5 * 4 * 4, dtype=torch.uint8).reshape(5, 4, 4, 1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "inputs", [PIXELS, torch.arange(10, dtype=torch.int32).reshape(5, 2), torch.randn(5, 3)]
)
def test_items_that_are_not_varied_come_as_they_are_and_are_copies(inputs: torch.Tensor) -> None:
    kept, stream = inputs.clone(), generator()
    state = stream.get_state()
    chosen = torch.tensor([4, 0, 0])
    drawn = batches_of(inputs, None, stream).draw(chosen, 3, stream)
    assert drawn.dtype == inputs.dtype
    assert torch.equal(drawn, kept[[4, 0, 0]])
    drawn.zero_()
    assert torch.equal(inputs, kept)
    assert torch.equal(stream.get_state(), state)


def test_pictures_are_varied_by_the_batches_of_pictures_from_the_stream_that_is_given() -> None:
    variation = PictureVariation(translate=1, cutout=2, flip=True)
    chosen = torch.arange(5)
    ours = batches_of(PIXELS, variation, generator(7))
    theirs = PictureBatches(PIXELS, variation, generator(7))
    assert isinstance(ours, PictureBatches)
    for epoch in range(3):
        assert torch.equal(
            ours.draw(chosen, epoch, generator()), theirs.draw(chosen, epoch, generator())
        )


@pytest.mark.parametrize("kind", BATCHES)
def test_every_variation_is_part_of_a_recipe_and_is_read_again_as_what_it_was(kind: Any) -> None:
    recipe = TrainingRecipe(variation=kind())
    plain = msgspec.to_builtins(recipe)
    assert plain["variation"]["type"]
    assert msgspec.convert(plain, TrainingRecipe) == recipe
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(plain | {"variation": plain["variation"] | {"sped": 1}}, TrainingRecipe)
