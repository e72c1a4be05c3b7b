"""What a prediction is held to, and what is said of one that does not hold."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest

from ml_exporter import expectations
from ml_exporter.errors import ConfigError, WrongPrediction
from ml_exporter.expectations import Expected, Tensor, at, finite, flat, hold, tensor_of

NAN, INF = math.nan, math.inf
DEEP: Any = []
for _ in range(5_000):
    DEEP = [DEEP]


def wrong(prediction: Any, **expected: Any) -> str:
    with pytest.raises(WrongPrediction) as raised:
        hold((Expected(**expected),), prediction)
    return str(raised.value)


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ([0.1, 0.9], {"min": 0, "max": 1}),
        ([0, 1], {"min": 0, "max": 1}),
        ([[1], [2]], {"shape": (2, 1), "datatype": "integer", "values": [[1], [2]]}),
        ([[1], [2]], {"shape": (-1, 1), "values": [1, 2]}),
        ([1, 2.5], {"datatype": "number"}),
        ([1, 2], {"datatype": "number"}),
        ([], {"shape": (0,), "values": []}),
        ([[], []], {"shape": (2, 0)}),
        (0.25, {"shape": (), "values": 0.25}),
        (["spam", "spam"], {"datatype": "text", "matches": "^sp"}),
        ([True, False], {"datatype": "boolean", "values": [True, False]}),
        ({"scores": [{"label": "ham"}]}, {"name": "scores[0].label", "values": "ham"}),
        ([{"p": 0.1}, {"p": 0.9}], {"name": "p", "values": [0.1, 0.9], "shape": (2,)}),
        ([{"p": {"q": 1}}], {"name": "p.q", "values": [1]}),
        ([{"a": 1}], {"values": [{"a": 1}]}),
        ([10**400], {"min": 0}),
        (2**60 + 1, {"values": 2**60 + 1, "tolerance": 0}),
    ],
)
def test_what_is_as_expected_holds(prediction: Any, expected: dict[str, Any]) -> None:
    hold((Expected(**expected),), prediction)


@pytest.mark.parametrize(
    ("prediction", "expected", "said"),
    [
        ([0.1, 1.2], {"max": 1}, "the prediction holds 1.2; expected is to 1"),
        ([-3], {"min": 0, "max": 1}, "the prediction holds -3; expected is 0 to 1"),
        ([NAN], {"min": 0}, "the prediction holds nan; expected is 0 to"),
        ([True], {"min": 0}, "the prediction holds True; expected is a number"),
        (["1"], {"min": 0}, "the prediction holds '1'; expected is a number"),
        ([None], {"min": 0}, "the prediction holds nothing; expected is a number"),
        ([1, 2], {"values": [1, 3]}, "the prediction holds 2 at 1; expected is 3"),
        ([1], {"values": [1, 1]}, "the prediction has 1 elements; expected are 2"),
        ([1], {"values": [True]}, "the prediction holds 1 at 0; expected is True"),
        ([1.0], {"values": [True]}, "the prediction holds 1.0 at 0; expected is True"),
        ([NAN], {"values": [0.5]}, "the prediction holds nan at 0; expected is 0.5"),
        (["a"], {"values": [0.5]}, "the prediction holds 'a' at 0; expected is 0.5"),
        ([10**400], {"values": [0.5]}, "expected is 0.5"),
        ([1.5], {"datatype": "integer"}, "the prediction is number; expected is integer"),
        ([1, "a"], {"datatype": "integer"}, "the prediction is of no known type; expected is integer"),
        ([[1, 2]], {"shape": (2, 1)}, "the prediction has the shape [1, 2]; expected is [2, 1]"),
        ([1], {"shape": (-1, 1)}, "the prediction has the shape [1]; expected is [-1, 1]"),
        (["ham"], {"matches": "^spam$"}, "the prediction holds 'ham'; expected is a text that matches ^spam$"),
        ([], {"matches": "a"}, "the prediction holds nothing; expected is a text that matches a"),
        ({"a": {"b": 1}}, {"name": "a.c", "min": 0}, "'a.c' is missing: there is no 'c'"),
        ({"a": [1]}, {"name": "a[1]"}, "'a[1]' is missing: there is no '1'"),
        ("text", {"name": "[0]"}, "'[0]' is missing: there is no '0'"),
        ([{"p": 1}, {}], {"name": "p"}, "'p' is missing: there is no 'p'"),
        ([], {"name": "p"}, "'p' is missing: there is no 'p'"),
        ([[1], [1, 2]], {"min": 0}, "the prediction is no tensor: its rows differ in length"),
        ([[1], 2], {"name": "", "min": 0}, "the prediction is no tensor: its rows differ in length"),
        ({"y": [[1], [1, 2]]}, {"name": "y"}, "'y' is no tensor: its rows differ in length"),
        (DEEP, {"min": 0}, "the prediction is no tensor: its lists are nested more than 32 deep"),
    ],
)
def test_what_is_not_as_expected_is_told_with_both(prediction: Any, expected: dict[str, Any], said: str) -> None:
    assert said in wrong(prediction, **expected)


@pytest.mark.parametrize(
    ("found", "wanted", "tolerance", "same"),
    [
        (0.5000004, 0.5, 1e-6, True),
        (0.500002, 0.5, 1e-6, False),
        (1_000_000.5, 1_000_000.0, 1e-6, True),  # in proportion above 1
        (1_000_002.0, 1_000_000.0, 1e-6, False),
        (-1_000_000.5, -1_000_000.0, 1e-6, True),
        (1, 1.0, 0, True),
        (0.9, 1, 0.1, True),
        (0.1 + 0.2, 0.3, 0, False),
    ],
)
def test_tolerance_is_absolute_up_to_one_and_in_proportion_above(
    found: float, wanted: float, tolerance: float, same: bool
) -> None:
    expected = (Expected(values=[wanted], tolerance=tolerance),)
    if same:
        hold(expected, [found])
    else:
        with pytest.raises(WrongPrediction):
            hold(expected, [found])


def test_the_first_expectation_that_does_not_hold_is_told() -> None:
    with pytest.raises(WrongPrediction, match="'b' holds 3"):
        hold((Expected("a", max=1), Expected("b", max=2), Expected("c", max=0)), {"a": 1, "b": 3, "c": 9})


def test_a_protocol_may_find_its_parts_itself() -> None:
    asked: list[str] = []

    def find(name: str) -> Tensor:
        asked.append(name)
        return Tensor((1,), "FP32", (0.5,))

    hold((Expected("a.b[0]", datatype="FP32", shape=(1,), values=0.5),), None, find)
    assert asked == ["a.b[0]"]


@pytest.mark.parametrize(
    ("elements", "position"),
    [((1, NAN), 1), ((INF,), 0), ((1.0, -INF), 1), ((None,), 0), (("a", None), 1), ((1, {"p": [0.5, NAN]}), 2)],
)
def test_what_is_no_finite_value_is_found_however_deep(elements: tuple[Any, ...], position: int) -> None:
    with pytest.raises(WrongPrediction, match=f"y holds .* at {position}; expected is a finite value"):
        finite(elements, "y")


def test_numbers_texts_and_empty_fields_are_finite() -> None:
    finite((1, 1.5, "a", True, 10**400, {"p": None, "q": {"r": 1.0}}), "y")
    finite((), "y")


def test_nested_values_are_flattened_in_order_whatever_their_depth() -> None:
    assert flat([[1, [2]], (3,), "ab", {"c": 4}]) == (1, 2, 3, "ab", {"c": 4})
    assert flat(7) == (7,)
    assert flat(DEEP) == ()


def test_a_part_of_json_is_a_tensor_with_its_form() -> None:
    assert tensor_of([[1, 2.5], [3, 4]]) == Tensor((2, 2), "number", (1, 2.5, 3, 4))
    assert tensor_of({"a": 1}) == Tensor((), "object", ({"a": 1},))
    assert at({"a": [[{"b": 2}]]}, "a[0][0].b") == 2


@pytest.mark.parametrize(
    "huge",
    ["x" * 5_000_000, [0] * 1_000_000, dict.fromkeys(map(str, range(10_000))), DEEP, 10**4_000],
    ids=["text", "list", "object", "nested", "number"],
)
def test_what_is_told_of_a_huge_element_is_short(huge: Any) -> None:
    said = wrong({"a": huge}, name="a", values=["b"])
    assert len(said) < 200
    assert said.isprintable()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"matches": "("}, "matches: found '(', which is no regular expression"),
        ({"matches": "(?=a)"}, "matches: found '(?=a)', which is no regular expression (RE2)"),
        ({"min": NAN}, "min: found nan; allowed is a finite number"),
        ({"max": INF}, "max: found inf; allowed is a finite number"),
        ({"min": 2, "max": 1}, "max: found 1, which is below min, 2"),
        ({"shape": (2, -2)}, "shape: found [2, -2]; allowed are at most 32 sizes, or -1 for any"),
        ({"shape": (1,) * 40}, "shape: found [1, 1, 1"),
        ({"values": [1, [NAN]]}, "values: found nan; allowed are finite numbers"),
        ({"values": [10**400]}, "values: found 1000"),
        ({"values": [datetime.date(2026, 1, 1)]}, "values: found datetime.date"),
    ],
)
def test_what_no_prediction_could_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Expected(**given)
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"datatype": "FP32"}, "datatype: found 'FP32'; allowed are boolean, integer, number, text"),
        ({"datatype": "numbers"}, "datatype: found 'numbers'; did you mean 'number'?"),
        ({"name": "a[b]"}, "name: found 'a[b]'; allowed is a path such as scores[0].label"),
        ({"name": "a[-1]"}, "name: found 'a[-1]'"),
        ({"name": "a..b"}, "name: found 'a..b'"),
    ],
)
def test_what_does_not_fit_plain_json_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        expectations.check((Expected("good.path[0]"), Expected(**given)))
    assert str(raised.value).startswith(f"canary.expect[1].{said}")


def test_a_protocol_may_have_datatypes_and_names_of_its_own() -> None:
    expectations.check((Expected("dense/BiasAdd:0[", datatype="FP32"),), ("FP32",), paths=False)
