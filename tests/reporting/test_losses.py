import json
import re

import pytest
from msgspec.structs import replace

from diptych.reporting.drawing import PAGE, theme, to_svg
from diptych.reporting.losses import MOST_SHOWN, losses


def rows(chart) -> list[dict]:
    layers = chart.to_dict()["layer"]
    return next(layer["data"]["values"] for layer in layers if len(layer["data"]["values"]) > 1)


@pytest.mark.parametrize("width", [285, 900])
def test_the_largest_loss_is_on_top_with_its_interval(manifest, hurt, width: int) -> None:
    damaged = hurt(manifest)
    drawn = rows(losses(damaged, PAGE, width))
    assert drawn[0]["label"] == "Trouser"
    assert drawn[0]["pays"]
    assert [row["loss"] for row in drawn] == sorted((row["loss"] for row in drawn), reverse=True)
    assert all(row["low"] <= row["loss"] <= row["high"] for row in drawn)
    assert drawn[0]["loss"] == pytest.approx(100 * damaged.damage.paying[0].loss)


def test_the_names_are_in_the_drawing_and_none_can_leave_its_quotes(manifest, hurt) -> None:
    evil = "\"]; alert('1') </text><script>"
    labels = (evil, *manifest.labels[1:])
    svg = to_svg(theme(losses(hurt(replace(manifest, labels=labels)), PAGE, 900), PAGE))
    assert "Ankle boot" in svg
    assert "<script>" not in svg
    assert re.search(r"alert\('1'\)|alert\(&#39;1", svg)


def test_of_many_classes_those_that_lost_most_are_drawn(manifest, hurt) -> None:
    labels = tuple(f"a long name of class number {k:03d}" for k in range(60))
    drawn = rows(losses(hurt(replace(manifest, labels=labels), 3000), PAGE, 900))
    assert len(drawn) == MOST_SHOWN
    assert len(json.dumps(drawn)) < 10_000


@pytest.mark.parametrize("width", [285, 900])
def test_long_names_take_their_room_from_the_plot(manifest, hurt, width: int) -> None:
    labels = (f"{'w' * 300}", *manifest.labels[1:])
    short, long = (
        losses(hurt(replace(manifest, labels=each)), PAGE, width).to_dict()["width"]
        for each in (manifest.labels, labels)
    )
    assert 0.5 * width < long < short <= width


def test_without_a_change_there_is_no_chart(manifest, tabled, hurt) -> None:
    assert losses(manifest, PAGE, 900) is None
    assert losses(hurt(tabled.manifest), PAGE, 900) is None
    still = hurt(manifest)
    same = tuple(replace(one, lost=0, gained=0) for one in still.damage.classes)
    unchanged = replace(still, damage=replace(still.damage, classes=same))
    assert losses(unchanged, PAGE, 900) is None
