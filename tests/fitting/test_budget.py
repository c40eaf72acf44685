from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import BudgetError
from diptych.core.text import quantity
from diptych.fitting.budget import DECIMALS, EXAMPLE, TERMS, Budget, Term, check_terms
from diptych.tasks.goals import GOALS

BASE = {
    "drop": ("fraction", {"": "1", "%": "0.01"}),
    "accuracy": ("fraction", {"": "1", "%": "0.01"}),
    "score": ("fraction", {"": "1", "%": "0.01"}),
    "f1": ("fraction", {"": "1", "%": "0.01"}),
    "auroc": ("fraction", {"": "1", "%": "0.01"}),
    "r2": ("fraction", {"": "1", "%": "0.01"}),
    "mae": ("target", {"": "1"}),
    "rmse": ("target", {"": "1"}),
    "p50": ("ms", {"us": "0.001", "µs": "0.001", "ms": "1", "s": "1000"}),
    "p99": ("ms", {"us": "0.001", "µs": "0.001", "ms": "1", "s": "1000"}),
    "cold": ("ms", {"us": "0.001", "µs": "0.001", "ms": "1", "s": "1000"}),
    "size": ("bytes", {"B": "1", "KB": "1e3", "MB": "1e6", "GB": "1e9"}),
    "memory": ("bytes", {"B": "1", "KB": "1e3", "MB": "1e6", "GB": "1e9"}),
    "energy": ("mJ", {"uJ": "0.001", "mJ": "1", "J": "1000"}),
    "cost": ("usd_per_million", {"": "1", "$": "1", "$/1M": "1"}),
}
"""The grammar as the design has it, apart from the code."""
BASE_UNIT = {"ms": "ms", "bytes": "B", "mJ": "mJ"}
AT_LEAST = {"score", "accuracy", "f1", "auroc", "r2"}

SPACE = st.sampled_from(["", " ", "  ", "\t"])
CASE = st.sampled_from([str, str.lower, str.upper, str.title])


@st.composite
def written_terms(draw: st.DrawFn) -> tuple[str, str, Decimal]:
    """Draw a term in any spelling, its name, and its limit in the base unit."""
    name = draw(st.sampled_from(sorted(BASE)))
    _, units = BASE[name]
    unit = draw(st.sampled_from(sorted(units)))
    most = Decimal(1) / Decimal(units[unit]) if BASE[name][0] == "fraction" else Decimal(10**6)
    number = draw(st.decimals("0.01", most, places=draw(st.integers(2, 4))))
    relation = ">=" if name in AT_LEAST else "<="
    case, spaces = draw(CASE), [draw(SPACE) for _ in range(5)]
    written = unit if unit == "mJ" else case(unit)  # MJ are millions
    amount = f"{number}{spaces[3]}{written}"
    if unit.startswith("$") and draw(st.booleans()):
        amount = f"${number}{written[1:]}"
    text = f"{spaces[0]}{case(name)}{spaces[1]}{relation}{spaces[2]}{amount}{spaces[4]}"
    return text, name, number * Decimal(units[unit])


@given(st.lists(written_terms(), max_size=5, unique_by=lambda term: term[1]), SPACE)
def test_every_written_budget_is_read_in_base_units(
    terms: list[tuple[str, str, Decimal]], space: str
) -> None:
    budget = Budget.parse(f",{space}".join(text for text, _, _ in terms))
    assert [term.name for term in budget.terms] == [name for _, name, _ in terms]
    for term, (_, name, limit) in zip(budget.terms, terms, strict=True):
        assert term.unit == BASE[name][0]
        assert term.relation == (">=" if name in AT_LEAST else "<=")
        assert term.limit == float(limit)
        assert budget.limit(name) == term.limit


@given(st.sampled_from(sorted(set(BASE) - {"size", "memory"})), st.floats(0.001, 0.99))
def test_a_limit_as_it_is_shown_is_read_again(name: str, limit: float) -> None:
    shown = quantity(limit, BASE[name][0])
    term = Budget.parse(f"{name}{TERMS[name].relation}{shown}").terms[0] if limit >= 0.01 else None
    if term:
        assert term.limit == pytest.approx(limit, rel=0.006, abs=5e-5)


def test_megajoules_are_not_taken_for_millijoules() -> None:
    with pytest.raises(BudgetError, match="energy: unknown unit 'MJ' in '5MJ'"):
        Budget.parse("energy<=5MJ")
    assert Budget.parse("energy<=5mj, p99<=2MS").limit("energy") == 5.0


@given(st.text(max_size=40))
def test_any_text_is_a_budget_or_a_budget_error(text: str) -> None:
    with suppress(BudgetError):
        Budget.parse(text)


AMOUNTS = st.sampled_from(
    ["1", "1%", "-1", "nan", "inf", "1e999", "1e-999", "1e", "$", "$1", "=1%", "", "1 1", "1..2"]
)
WORDS = st.one_of(st.sampled_from(sorted(BASE)), st.text("abp9_", max_size=4))
TERMS_ALMOST = st.tuples(WORDS, st.sampled_from(["<=", ">=", "<", "=", "==", "", "≤"]), AMOUNTS)


@given(st.lists(TERMS_ALMOST.map("".join), max_size=3).map(",".join))
def test_what_almost_is_a_budget_is_read_within_its_range_or_refused(text: str) -> None:
    with suppress(BudgetError):
        for term in Budget.parse(text).terms:
            kind = TERMS[term.name]
            assert 0 < term.limit <= min(kind.most, 1e300) or (term.limit == 0 and kind.zero)


def test_the_grammar_knows_the_terms_of_the_design_and_no_others() -> None:
    assert {name: kind.unit for name, kind in TERMS.items()} == {n: u for n, (u, _) in BASE.items()}
    assert {name for name, kind in TERMS.items() if kind.relation == ">="} == AT_LEAST


@pytest.mark.parametrize("text", ["", "  ", ",", " , ,"])
def test_an_empty_budget_has_no_terms(text: str) -> None:
    assert Budget.parse(text).terms == ()
    assert Budget.parse(text).limit("drop") is None


def test_a_drop_of_nothing_may_be_asked_for() -> None:
    assert Budget.parse("drop<=0").limit("drop") == 0


def test_the_text_is_kept_for_people() -> None:
    assert Budget.parse("  drop <= 1% , p99<=2ms ").text == "drop <= 1% , p99<=2ms"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("p9<=2ms", "there is no budget term 'p9'", "did you mean 'p99'?"),
        ("acuracy>=90%", "there is no budget term 'acuracy'", "did you mean 'accuracy'?"),
        ("Sise<=1MB", "there is no budget term 'Sise'", "did you mean 'size'?"),
        ("drop<=1%, drop<=2%", "the budget has 'drop' twice", "keep one of them"),
        ("Drop<=1%, drop<=1%", "the budget has 'drop' twice", "keep one of them"),
        ("p99>=2ms", "p99>=2ms: p99 is limited with <=", "write p99<=2ms"),
        ("accuracy<=90%", "accuracy<=90%: accuracy is limited with >=", "write accuracy>=90%"),
        ("p99<2ms", "p99<2ms: p99 is limited with <=", "write p99<=2ms"),
        ("p99<=2", "p99: no unit in '2'", "write a number with us, µs, ms, s"),
        ("size<=2ms", "size: unknown unit 'ms' in '2ms'", "write a number with B, KB, MB, GB"),
        ("size<=$5KB", "size: unknown unit '$KB' in '$5KB'", "write a number with B, KB, MB, GB"),
        ("accuracy>=93", "accuracy: '93' is not possible", "did you mean 93%?"),
        ("accuracy>=101%", "accuracy: '101%' is not possible", EXAMPLE),
        ("accuracy>=0", "accuracy: '0' is not possible", EXAMPLE),
        ("drop<=200%", "drop: '200%' is not possible", EXAMPLE),
        ("drop<=-1", "drop: '-1' is not an amount", "write a number with %"),
        ("size<=0B", "size: '0B' is not possible", EXAMPLE),
        ("size<=-5KB", "size: '-5KB' is not an amount", "write a number with B, KB, MB, GB"),
        ("p99<=nan", "p99: 'nan' is not an amount", "write a number with us, µs, ms, s"),
        ("p99<=inf ms", "p99: 'inf ms' is not an amount", "write a number with us, µs, ms, s"),
        ("p99<=1e999ms", "p99: '1e999ms' is not possible", EXAMPLE),
        ("mae<=5%", "mae: unknown unit '%' in '5%'", "write a number in the target's own unit"),
        ("rmse<=0", "rmse: '0' is not possible", EXAMPLE),
        ("r2>=85", "r2: '85' is not possible", "did you mean 85%?"),
        ("fast", "cannot read the budget term 'fast'", EXAMPLE),
        ("drop<=", "cannot read the budget term 'drop<='", EXAMPLE),
        ("drop<=0,5%", "cannot read the budget term '5%'", DECIMALS),
        ("drop<=1%; p99<=2ms", "the budget has a semicolon between its terms", EXAMPLE),
        (["drop<=1%"], "a budget is a text, not of type list", EXAMPLE),
    ],
)
def test_a_budget_that_cannot_be_read_says_what_to_write(
    text: str, message: str, hint: str
) -> None:
    with pytest.raises(BudgetError) as raised:
        Budget.parse(text)
    assert (raised.value.message, raised.value.hint) == (message, hint)


def test_a_term_can_be_made_without_text() -> None:
    term = Term(name="p99", relation="<=", limit=2.0, unit="ms")
    assert Budget(terms=(term,)).terms == Budget.parse("p99<=2ms").terms


@pytest.mark.parametrize("goal", sorted(GOALS))
def test_every_score_of_a_goal_can_be_limited_and_no_other(goal: str) -> None:
    kind = GOALS[goal]
    scores = {name for each in GOALS.values() for name in each.metrics}
    assert scores <= set(TERMS)
    for name in TERMS:
        budget = Budget.parse(f"{name}{TERMS[name].relation}1{BASE_UNIT.get(TERMS[name].unit, '')}")
        if name in scores and name not in kind.metrics:
            with pytest.raises(BudgetError, match=f"limits {name}, which this data has not"):
                check_terms(budget, kind)
        else:
            check_terms(budget, kind)


def test_a_score_of_another_goal_is_refused_with_those_there_are() -> None:
    with pytest.raises(BudgetError) as raised:
        check_terms(Budget.parse("p99<=1ms, mae<=3"), GOALS["classification"])
    assert raised.value.message == "the budget limits mae, which this data has not"
    assert raised.value.hint == "limit accuracy, f1, auroc, drop"
