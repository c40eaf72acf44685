from msgspec.structs import replace

from diptych.measure.means import unknown
from diptych.reporting.leaderboard import HEADER, entries, header, nearest


def test_the_chosen_candidate_comes_first_and_then_those_that_meet_the_budget(manifest) -> None:
    listed = entries(manifest)
    assert [one.chosen for one in listed].index(True) == 0
    standing = [one.meets_budget for one in listed]
    assert standing == sorted(standing, reverse=True)
    assert len(listed) == len(manifest.candidates)


def test_every_entry_has_a_cell_for_every_column(manifest) -> None:
    assert {len(one.cells) for one in entries(manifest)} == {len(HEADER)}


def test_energy_is_written_with_its_label(manifest) -> None:
    column = HEADER.index("Energy")
    assert all(one.cells[column].endswith(" modelled") for one in entries(manifest))


def test_energy_and_cost_that_leave_out_a_gpu_say_so(manifest) -> None:
    on_gpu = replace(manifest.candidates[0], runtime="onnxruntime-tensorrt")
    (entry,) = entries(replace(manifest, candidates=(on_gpu,)))
    energy, cost = (entry.cells[HEADER.index(name)] for name in ("Energy", "Cost / 1M"))
    assert energy.endswith(" modelled, of the processor only")
    assert cost.endswith(", of the processor only")


def test_the_nearest_candidates_are_listed_where_none_keeps_the_budget(failed, manifest) -> None:
    assert len(failed.nearest) == 3
    assert tuple(one.cells[0] for one in nearest(failed)) == failed.nearest
    assert nearest(manifest) == ()


def test_the_score_has_its_own_name_and_unit(manifest, tabled, tagged) -> None:
    names = [header(one)[1] for one in (manifest, tabled.manifest, tagged.manifest)]
    assert names == ["Accuracy", "R²", "F1"]
    assert entries(tabled.manifest)[0].cells[1] == "83.0 %"


def test_what_could_not_be_had_is_unknown_and_not_0(manifest) -> None:
    nothing = unknown("undefined: a value is not finite")
    odd = replace(manifest.candidates[0], scores={"accuracy": nothing}, drop=nothing)
    (entry,) = entries(replace(manifest, candidates=(odd,)))
    assert entry.cells[1:3] == ("unknown", "unknown")
