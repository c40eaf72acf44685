import numpy as np
import torch

from diptych.training.variation.pictures import PictureBatches, PictureVariation


def pictures(count: int = 40, side: int = 9) -> torch.Tensor:
    values = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return torch.from_numpy(values)


def batches(pixels: torch.Tensor, seed: int = 0, **settings: object) -> PictureBatches:
    quiet = {"translate": 0, "cutout": 0, "flip": False}
    variation = PictureVariation(**(quiet | settings))
    return PictureBatches(pixels, variation, torch.Generator().manual_seed(seed))


def drawing(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_variation_the_chosen_pictures_come_back_unchanged() -> None:
    pixels = pictures()
    chosen = torch.tensor([3, 0, 39])
    assert torch.equal(batches(pixels).draw(chosen, 0, drawing()), pixels[chosen])


def test_shifting_equals_a_crop_of_the_reflected_picture() -> None:
    pixels, reach = pictures(), 2
    drawn = batches(pixels, translate=reach).draw(torch.arange(40), 0, drawing()).numpy()
    for picture, result in zip(pixels.numpy(), drawn, strict=True):
        padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
        crops = [padded[y : y + 9, x : x + 9] for y in range(5) for x in range(5)]
        assert any(np.array_equal(result, crop) for crop in crops)


def test_shifts_reach_every_place_equally_far_to_both_sides() -> None:
    column = torch.arange(9, dtype=torch.uint8).view(1, 1, 9, 1).expand(1, 9, 9, 1).contiguous()
    drawn = batches(column.repeat(500, 1, 1, 1), translate=2).draw(torch.arange(500), 0, drawing())
    assert set(drawn[:, 0, 4, 0].tolist()) == {2, 3, 4, 5, 6}


def test_each_picture_is_mirrored_in_every_second_epoch() -> None:
    pixels = pictures()
    source = batches(pixels, flip=True)
    everything = torch.arange(40)
    first, second = source.draw(everything, 0, drawing()), source.draw(everything, 1, drawing())
    assert torch.equal(first, second.flip(2))
    upright = [torch.equal(a, b) for a, b in zip(first, pixels, strict=True)]
    assert 8 < sum(upright) < 32
    assert all(
        torch.equal(a, b) or torch.equal(a.flip(1), b) for a, b in zip(first, pixels, strict=True)
    )


def test_what_is_shifted_and_cut_out_is_mirrored_too() -> None:
    source, everything = batches(pictures(), flip=True, translate=2, cutout=3), torch.arange(40)
    first, second = (source.draw(everything, epoch, drawing()) for epoch in (0, 1))
    assert torch.equal(first, second.flip(2))


def test_cutting_out_replaces_one_square_by_the_mean_color() -> None:
    source = batches(torch.full((200, 9, 9, 3), 200, dtype=torch.uint8), cutout=3)
    source.mean = torch.zeros(3, dtype=torch.uint8)
    holes = (source.draw(torch.arange(200), 0, drawing()) == 0).all(-1)
    assert holes.any(2).sum(1).max() == 3
    assert torch.equal(holes.sum((1, 2)), holes.any(2).sum(1) * holes.any(1).sum(1))
    assert holes.sum((1, 2)).min() > 0


def test_the_same_seed_draws_the_same_batch() -> None:
    pixels = pictures()
    settings = {"translate": 2, "cutout": 3, "flip": True}
    source, everything = batches(pixels, 5, **settings), torch.arange(40)
    first = source.draw(everything, 3, drawing())
    assert torch.equal(first, batches(pixels, 5, **settings).draw(everything, 3, drawing()))
    assert not torch.equal(first, batches(pixels, 6, **settings).draw(everything, 3, drawing()))
    assert not torch.equal(first, source.draw(everything, 3, drawing(2)))
