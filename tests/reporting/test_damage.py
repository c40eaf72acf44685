import pytest
from msgspec.structs import replace

from diptych.core.damage import Damage, ErrorChange
from diptych.core.values import Estimate
from diptych.fitting.damage import MOST_CLASSES
from diptych.reporting.damage import (
    CLASS_HEADER,
    MOST_LISTED,
    QUANTILE_HEADER,
    line,
    quantile_rows,
    section,
)
from diptych.reporting.honesty import CALIBRATION_HEADER


def of(manifest) -> Damage:
    assert manifest.damage is not None
    return manifest.damage


def test_one_line_counts_items_and_says_that_no_class_pays(manifest, hurt) -> None:
    damage = of(hurt(manifest, 4000, 0.0))
    flips = damage.flips
    assert line(damage) == (
        f"{flips.lost} items lost, {flips.gained} gained of 4,000; no class pays more than chance"
    )


def test_one_line_names_who_pays_and_what_the_others_lose(manifest, hurt) -> None:
    damage = of(hurt(manifest, 4000, 0.2))
    assert [one.label for one in damage.paying] == ["Trouser"]
    assert "; Trouser (21 %) pays more than chance (all others 0.53 %)" in line(damage)


def test_nothing_lost_is_said_in_few_words(manifest, hurt) -> None:
    damage = of(hurt(manifest, 4000, 0.0))
    none = replace(damage, flips=replace(damage.flips, lost=0, gained=1))
    assert line(none) == "0 items lost, 1 gained of 4,000"


def test_several_labels_are_told_worse_and_not_lost(tagged, hurt) -> None:
    told = line(of(hurt(tagged.manifest)))
    assert "items told worse" in told
    assert "night (44 %) pays more" in told
    assert "no label pays" in line(of(hurt(tagged.manifest, 900, 0.0)))


def test_numbers_have_a_change_of_their_error(tabled, hurt) -> None:
    assert line(of(hurt(tabled.manifest))).startswith("mean absolute error +26,")
    change = ErrorChange(
        n=4, mean=Estimate(value=-2.0, low=-3.0, high=-1.0, n=4, method="by hand"),
        grew=1, shrank=3, p_value=0.6,
    )  # fmt: skip
    better = Damage(goal="regression", reference="t", model="s", errors=change)
    assert line(better) == "mean absolute error -2.0; 1 errors grew, 3 shrank, of 4"


@pytest.mark.parametrize(
    ("p_value", "lost", "words"),
    [
        (0.2, 30, "as much by chance (p = 0.2)"),
        (0.03, 30, "the model is worse (p = 0.03)"),
        (0.0001, 2, "the model is better (p < 0.001)"),
    ],
)
def test_the_lead_says_whether_chance_would_do_the_same(
    manifest, hurt, p_value: float, lost: int, words: str
) -> None:
    damaged = hurt(manifest, 4000, 0.0)
    flips = replace(of(damaged).flips, p_value=p_value, lost=lost, gained=9)
    found = section(replace(damaged, damage=replace(of(damaged), flips=flips)))
    assert words in found.lead.replace("\u00a0", " ")
    assert found.warning == ""


def test_the_same_answers_are_nothing(manifest, hurt) -> None:
    damaged = hurt(manifest, 4000, 0.0)
    for differing, words in ((0, "Nothing: the answer is that of teacher"), (5, "5 answers")):
        flips = replace(of(damaged).flips, lost=0, gained=0, differing=differing)
        found = section(replace(damaged, damage=replace(of(damaged), flips=flips)))
        assert words in found.lead


def test_every_row_has_the_cells_of_its_header_and_the_worst_class_is_first(case, hurt) -> None:
    found = section(hurt(case.manifest))
    assert found.lead
    assert all(len(row.cells) == 1 + len(CLASS_HEADER) for row in found.classes)
    assert all(len(cells) == len(CALIBRATION_HEADER) for cells in found.calibration)
    assert all(len(cells) == len(QUANTILE_HEADER) for cells in found.quantiles)
    assert bool(found.quantiles) == (case.manifest.goal == "regression")
    if found.classes:
        assert found.classes[0].pays
        assert found.classes[0].cells[0] in found.warning
        assert found.class_header[0] == (
            "Label" if case.manifest.goal == "multi-label" else "Class"
        )


def test_of_many_that_pay_three_are_named(manifest, hurt) -> None:
    damage = of(hurt(manifest, 4000, 0.2))
    rows = tuple(replace(one, pays=True) for one in damage.classes[:5])
    many = replace(damage, classes=rows + damage.classes[5:])
    assert "and 2 more pay more than chance" in line(many)
    assert "and 2 more; all others together" in section(replace(manifest, damage=many)).warning


def test_a_bundle_without_a_report_has_no_section(manifest) -> None:
    assert section(manifest) is None


def test_what_the_others_lost_is_of_all_of_them_however_few_are_listed(manifest, hurt) -> None:
    damage = of(hurt(manifest, 4000, 0.2))
    few = replace(damage, classes=damage.classes[:2])
    assert "(all others 0.53 %)" in line(few)
    warning = section(replace(manifest, damage=few)).warning
    assert "; all others together 0.53 %. " in warning


def test_of_very_many_labels_it_is_not_told_what_the_others_lost(tagged, hurt) -> None:
    damage = of(hurt(tagged.manifest))
    calm = next(one for one in damage.classes if not one.pays)
    rows = tuple(replace(calm, label=f"label {k}") for k in range(MOST_LISTED - 1))
    cut = replace(damage, classes=(*damage.paying, *rows), num_classes=150)
    assert line(cut).endswith("; night (44 %) pays more than chance")
    found = section(replace(tagged.manifest, damage=cut))
    assert "all others" not in found.warning
    assert found.listed == "All numbers per label, of the 100 that lost most"


def test_where_all_are_listed_it_is_said(manifest, tagged, hurt) -> None:
    assert MOST_LISTED == MOST_CLASSES
    assert section(hurt(manifest)).listed == "All numbers per class"
    labels = section(hurt(tagged.manifest))
    assert labels.listed == "All numbers per label"
    assert "; all others together " in labels.warning


def test_errors_whose_bounds_coincide_are_not_exact(tabled, hurt) -> None:
    damage = of(hurt(tabled.manifest))
    first, *others = damage.errors.quantiles
    same = replace(first.model, low=first.model.value, high=first.model.value)
    quantiles = (replace(first, model=same), *others)
    coarse = replace(damage, errors=replace(damage.errors, quantiles=quantiles))
    assert "exact" not in quantile_rows(coarse)[0]
