"""What a canary prediction must look like, whatever the protocol: form, range and golden values."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, NamedTuple

from ml_exporter.decoding import printable
from ml_exporter.errors import ConfigError, WrongPrediction
from ml_exporter.patterns import Pattern
from ml_exporter.schema import Between, nearest

MAX_DEPTH = 32
"""Nested lists of a prediction; a tensor of more dimensions is no prediction."""
PLAIN = ("number", "integer", "text", "boolean")
"""What stands for a datatype where the protocol knows none. A whole number is a number too."""
_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "text", dict: "object"}
_NUMBERS = frozenset({int, float})
_CERTAIN = frozenset({int, bool, str})
"""Types whose every value is a value."""
_KEY = re.compile(r"\.?([^.\[\]]+)|\[(\d{1,9})\]")


@dataclass(frozen=True, slots=True)
class Expected:
    """What one part of a prediction must be; what is not given is not asked."""

    name: str = ""
    """An output, a field or a path of them such as `scores[0].label`; empty: the whole prediction."""
    datatype: str | None = None
    """As the protocol spells it (FP32, …); elsewhere number, integer, text or boolean."""
    shape: tuple[int, ...] | None = None
    """-1 is any length."""
    min: float | None = None
    max: float | None = None
    """Limits, included, of every number."""
    values: Any = None
    """Golden values, nested as the prediction is, or flat; kept flat."""
    tolerance: Annotated[float, Between(0, 1e12)] = 1e-6
    """How far a number may be from its golden value: absolute up to 1, in proportion to the golden value above."""
    matches: str | None = None
    """A regular expression (RE2) that is found in every text."""

    def __post_init__(self) -> None:
        """Raises `ConfigError` for what no prediction could be."""
        if self.shape is not None and (len(self.shape) > MAX_DEPTH or min(self.shape, default=0) < -1):
            raise ConfigError(f"shape: found {list(self.shape)}; allowed are at most {MAX_DEPTH} sizes, or -1 for any")
        for name, limit in (("min", self.min), ("max", self.max)):
            if limit is not None and not math.isfinite(limit):
                raise ConfigError(f"{name}: found {limit}; allowed is a finite number")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ConfigError(f"max: found {self.max:g}, which is below min, {self.min:g}")
        if self.values is not None:
            object.__setattr__(self, "values", flat(self.values))
        for value in self.values or ():
            if type(value) not in (*_TYPES, type(None)) or (type(value) in _NUMBERS and not _finite(value)):
                raise ConfigError(f"values: found {_shown(value)}; allowed are finite numbers, texts, true and false")
        if self.matches is not None:
            _pattern(self.matches)


class Tensor(NamedTuple):
    """A part of a prediction: its elements in order, their type, and its form."""

    shape: tuple[int, ...]
    datatype: str
    elements: tuple[Any, ...]


def check(expected: tuple[Expected, ...], datatypes: tuple[str, ...] = PLAIN, *, paths: bool = True) -> None:
    """Whether expectations fit a protocol: its datatypes, and names that are paths into plain JSON (`paths`).

    Raises `ConfigError`.
    """
    for number, each in enumerate(expected):
        where = f"canary.expect[{number}]"
        if each.datatype is not None and each.datatype not in datatypes:
            raise ConfigError(f"{where}.datatype: found '{each.datatype}'{nearest(each.datatype, datatypes)}")
        if paths and "".join(match[0] for match in _KEY.finditer(each.name)) != each.name:
            raise ConfigError(f"{where}.name: found '{each.name}'; allowed is a path such as scores[0].label")


def hold(expected: tuple[Expected, ...], prediction: Any, find: Any = None) -> None:
    """Check a prediction. `find(name)` gives the `Tensor` of a name; by default it is looked up in plain JSON.

    Raises `WrongPrediction` for the first expectation that does not hold.
    """
    for each in expected:
        tensor = find(each.name) if find else tensor_of(at(prediction, each.name), each.name)
        _hold(each, tensor, f"'{each.name}'" if each.name else "the prediction")


def _hold(each: Expected, tensor: Tensor, what: str) -> None:
    if each.datatype not in (None, tensor.datatype) and (each.datatype, tensor.datatype) != ("number", "integer"):
        raise WrongPrediction(f"{what} is {tensor.datatype or 'of no known type'}; expected is {each.datatype}")
    if each.shape not in (None, tensor.shape) and not _fits(tensor.shape, each.shape):
        raise WrongPrediction(f"{what} has the shape {form(tensor.shape)}; expected is {list(each.shape)}")
    if each.min is not None or each.max is not None:
        _between(each, tensor.elements, what)
    if each.values is not None:
        _golden(each, tensor.elements, what)
    if each.matches is not None:
        _matching(each.matches, tensor.elements, what)


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(w in (-1, s) for s, w in zip(shape, wanted, strict=True))


def _between(each: Expected, elements: tuple[Any, ...], what: str) -> None:
    low = -math.inf if each.min is None else each.min
    high = math.inf if each.max is None else each.max
    for element in elements:
        if type(element) not in _NUMBERS:
            raise WrongPrediction(f"{what} holds {_shown(element)}; expected is a number")
        # Written so that NaN, which is neither above nor below anything, is outside.
        if not low <= element <= high:
            limits = f"{'' if each.min is None else f'{low:g}'} to {'' if each.max is None else f'{high:g}'}".strip()
            raise WrongPrediction(f"{what} holds {_shown(element)}; expected is {limits}")


def _golden(each: Expected, elements: tuple[Any, ...], what: str) -> None:
    golden = each.values
    if len(golden) != len(elements):
        raise WrongPrediction(f"{what} has {len(elements)} elements; expected are {len(golden)}")
    if _near(elements, golden, each.tolerance):
        return
    for position, (found, wanted) in enumerate(zip(elements, golden, strict=True)):
        if not _same(found, wanted, each.tolerance):
            raise WrongPrediction(f"{what} holds {_shown(found)} at {position}; expected is {_shown(wanted)}")


def _near(elements: tuple[Any, ...], golden: tuple[Any, ...], tolerance: float) -> bool:
    """Whether all are floats within the tolerance as it is up to 1: quick, for it is how most predictions are."""
    for found, wanted in zip(elements, golden, strict=True):
        if not (type(found) is float and type(wanted) is float and -tolerance <= found - wanted <= tolerance):
            return False
    return True


def _same(found: Any, wanted: Any, tolerance: float) -> bool:
    if type(found) not in _NUMBERS or type(wanted) not in _NUMBERS:
        return type(found) is type(wanted) and bool(found == wanted)
    # Whole numbers of any length can be compared with a float; a difference of the two may overflow.
    slack = tolerance * max(1.0, abs(wanted))
    return bool(found == wanted or wanted - slack <= found <= wanted + slack)


def _matching(pattern: str, elements: tuple[Any, ...], what: str) -> None:
    for element in elements or (None,):
        if not isinstance(element, str) or not _pattern(pattern).found(element):
            raise WrongPrediction(f"{what} holds {_shown(element)}; expected is a text that matches {pattern}")


@functools.lru_cache(maxsize=1024)
def _pattern(text: str) -> Pattern:
    return Pattern(text, "matches")


def at(prediction: Any, name: str) -> Any:
    """What stands at a path such as `scores[0].label`. A field of a list is that field of each of its items.

    Raises `WrongPrediction` where nothing stands there.
    """
    value = prediction
    for key in _keys(name):
        if isinstance(key, int):
            inside = isinstance(value, list) and key < len(value)
            value = value[key] if inside else _absent(name, key)
        elif isinstance(value, list):
            rows = value or _absent(name, key)
            value = [row[key] if isinstance(row, dict) and key in row else _absent(name, key) for row in rows]
        else:
            value = value[key] if isinstance(value, dict) and key in value else _absent(name, key)
    return value


@functools.lru_cache(maxsize=1024)
def _keys(name: str) -> tuple[str | int, ...]:
    return tuple(int(index) if index else key for key, index in _KEY.findall(name))


def _absent(name: str, key: str | int) -> Any:
    raise WrongPrediction(f"'{name}' is missing: there is no '{key}'")


def tensor_of(value: Any, name: str = "") -> Tensor:
    """Nested lists of JSON as a tensor. Raises `WrongPrediction` for ragged ones."""
    what = f"'{name}'" if name else "the prediction"
    shape: list[int] = []
    level = [value]
    while list in (types := set(map(type, level))):
        lengths = set(map(len, level)) if len(types) == 1 else set()
        if len(lengths) != 1:
            raise WrongPrediction(f"{what} is no tensor: its rows differ in length")
        if len(shape) == MAX_DEPTH:
            raise WrongPrediction(f"{what} is no tensor: its lists are nested more than {MAX_DEPTH} deep")
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
    names = {_TYPES.get(kind, "") for kind in types}
    datatype = "number" if names == {"integer", "number"} else names.pop() if len(names) == 1 else ""
    return Tensor(tuple(shape), datatype, tuple(level))


def finite(elements: tuple[Any, ...], what: str) -> None:
    """Raises `WrongPrediction` for an element that is nothing, and for a number, however deep inside, that is none."""
    types = set(map(type, elements))
    if types <= _CERTAIN or (types == {float} and all(map(math.isfinite, elements))):
        return
    for position, element in enumerate(elements if types <= {*_CERTAIN, float, type(None)} else _inside(elements)):
        if element is None or (type(element) is float and not math.isfinite(element)):
            raise WrongPrediction(f"{what} holds {_shown(element)} at {position}; expected is a finite value")


def _inside(values: Any) -> Iterator[Any]:
    """The innermost values of nested lists and objects; a field may be null, which says that there is no value."""
    stack = [iter(values)]
    while stack:
        for value in stack[-1]:
            if isinstance(value, dict):
                stack.append(iter([field for field in value.values() if field is not None]))
                break
            if isinstance(value, list | tuple):
                stack.append(iter(value))
                break
            yield value
        else:
            stack.pop()


def flat(values: Any) -> tuple[Any, ...]:
    """The innermost values of nested lists, in order."""
    if not isinstance(values, list | tuple):
        return (values,)
    level = values
    for _ in range(MAX_DEPTH):
        types = set(map(type, level))
        if types.isdisjoint((list, tuple)):
            return tuple(level)
        if not types <= {list, tuple}:
            break
        level = tuple(chain.from_iterable(level))
    return tuple(_leaves(level))


def _leaves(values: Any) -> Iterator[Any]:
    """The same for lists beside other values, and for any depth."""
    stack = [iter(values)]
    while stack:
        for value in stack[-1]:
            if isinstance(value, list | tuple):
                stack.append(iter(value))
                break
            yield value
        else:
            stack.pop()


def form(shape: tuple[int, ...]) -> str:
    """A shape in an error, cut."""
    return printable(str(list(shape)), 80)


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number that no float can hold
        return False


def _shown(element: Any) -> str:
    """An element in an error, cut before it is written out, however large it is."""
    match element:
        case None:
            return "nothing"
        case list():
            return f"a list of {len(element)}"
        case dict():
            return f"an object with {len(element)} fields"
        case str():
            return printable(repr(element[:80]), 60)
    return printable(repr(element), 60)
