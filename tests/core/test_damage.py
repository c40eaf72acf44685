import pytest
from msgspec import ValidationError, convert, json, structs, to_builtins

from diptych.core import damage as damages
from diptych.core.damage import ClassDamage, Damage, WorstItem
from diptych.core.specs import Value

KINDS = [k for k in vars(damages).values() if isinstance(k, type) and issubclass(k, Value)]


def of_class(label: str, lost: int, *, gained: int = 0, pays: bool = False) -> ClassDamage:
    return ClassDamage(
        label=label, n=50, right=40, lost=lost, gained=gained, low=-0.1, high=0.2,
        p_value=0.5, pays=pays,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_of_the_report_is_frozen_and_strict(kind: type[Value]) -> None:
    settings = kind.__struct_config__
    assert settings.frozen
    assert settings.forbid_unknown_fields
    assert all(field.encode_name == field.name for field in structs.fields(kind))


def test_a_loss_is_the_net_one_and_who_pays_comes_by_it() -> None:
    rows = (of_class("a", 5, pays=True), of_class("b", 9), of_class("c", 9, gained=2, pays=True))
    found = Damage(goal="classification", reference="t", model="s", classes=rows)
    assert [one.loss for one in rows] == [0.1, 0.18, 0.14]
    assert [one.label for one in found.paying] == ["c", "a"]


@pytest.mark.parametrize("told", [("cat", "night"), (), 12.5])
def test_labels_and_numbers_come_back_from_json_as_they_were(told: tuple[str, ...] | float) -> None:
    item = WorstItem(item="x.png", index=3, truth=told, reference=told, model=told)
    found = Damage(goal="regression", reference="t", model="s", items=(item,))
    assert json.decode(json.encode(found), type=Damage) == found


@pytest.mark.parametrize("change", [{"n": 0}, {"lost": -1}, {"n": 1.5}])
def test_counts_that_cannot_be_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        convert(to_builtins(of_class("a", 1)) | change, ClassDamage)
