import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from diptych.cli.diff import summary
from diptych.cli.main import run
from diptych.core.damage import Damage, Flips
from diptych.core.values import EnergyLabel, Estimate
from diptych.fitting.difference import Difference, Figure


def number(value: float, n: int = 8) -> Estimate:
    return Estimate(value=value, low=value - 0.25, high=value + 0.25, n=n, method="by hand")


def of(*, one_machine: bool = True) -> Difference:
    flips = Flips(
        n=8, lost=2, gained=0, differing=2, lost_share=number(0.25), gained_share=number(0.0),
        p_value=0.5,
    )  # fmt: skip
    return Difference(
        first="old.dip",
        second="new.dip",
        n=8,
        items="all items",
        verdict="PASS",
        terms=(),
        scores=(Figure(name="accuracy", unit="fraction", first=number(0.75), second=number(0.5)),),
        recorded=(Figure(name="size", unit="bytes", first=None, second=number(5000)),),
        one_machine=one_machine,
        drop=number(0.25),
        damage=Damage(goal="classification", reference="old.dip", model="new.dip", flips=flips),
    )


def test_people_see_both_bundles_side_by_side_and_the_damage() -> None:
    lines = summary(of()).splitlines()
    shown = [line.split() for line in lines]
    assert lines[0] == "8 items (all items)"
    assert ["figure", "old.dip", "new.dip"] in shown
    assert ["accuracy", "75.00", "%", "50.00", "%"] in shown
    assert ["size", "unknown", "5.00", "KB"] in shown or ["size", "unknown", "5", "KB"] in shown
    assert "damage: 2 items lost, 0 gained of 8; no class pays more than chance" in lines
    assert lines[-1] == "PASS"
    assert "different processors" not in summary(of())


def test_times_of_different_processors_are_not_held_against_each_other() -> None:
    assert "different processors" in summary(of(one_machine=False))


@pytest.mark.parametrize("label", ["counter", "modelled"])
def test_energies_stand_beside_how_they_were_had(label: EnergyLabel) -> None:
    both = Figure(
        name="energy",
        unit="mJ",
        first=number(1.5),
        second=number(2.5),
        first_label="modelled",
        second_label=label,
    )
    lines = summary(replace(of(), recorded=(both,))).splitlines()
    shown = [line.split() for line in lines]
    name = ["energy"] if label == "modelled" else ["energy", "(not", "comparable)"]
    assert [*name, "1.5", "mJ", "modelled", "2.5", "mJ", label] in shown
    assert lines[-1] == "PASS"


@pytest.mark.slow
def test_a_bundle_against_itself_passes_and_an_impossible_limit_ends_with_3(
    digits_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["diff", str(digits_bundle), str(digits_bundle), "digits"]
    assert run([*words, "--budget", "drop<=5%", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["drop"]["value"], found["one_machine"]) == ("PASS", 0, True)
    assert run([*words, "--budget", "size<=1B"]) == 3
    assert "FAIL" in capsys.readouterr().out


def test_a_bundle_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["diff", "nowhere.dip", "other.dip", "digits"]) == 2
    assert "nowhere.dip" in capsys.readouterr().err
