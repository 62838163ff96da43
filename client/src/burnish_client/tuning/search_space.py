"""What a sweep searches: `name=values` words, checked against the trainer's contract, and the specs that drawn values make."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.errors import InvalidInputError
from burnish.schemas.training.hosted import HostedSpec
from burnish.schemas.training.hyperparameters import Hyperparameter, Kind, value_text
from burnish.schemas.training.job import hyperparameters_of
from burnish.schemas.training.methods import Method
from burnish_client.sdk.job_spec import tuning_spec
from burnish_protos.trainer.v1.trainer_pb2 import TuningSpec

Value = bool | int | float | str
RANGE = re.compile(r"^(?P<low>[^:,]+?)\.\.(?P<high>[^:,]+?)(?P<log>:log)?$")
DIGITS = 3  # significant, of a number drawn from a range: more are noise in a command line
WANTED: dict[Kind, str] = {"whole number": "a whole number", "number": "a number", "flag": "true or false"}


@dataclass(frozen=True)
class Parameter:
    """One training parameter: the values it may take, or the range they are drawn from (ends included)."""

    name: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def is_range(self) -> bool:
        return not self.values

    @property
    def is_fixed(self) -> bool:
        return len(self.values) == 1

    def rounded(self, drawn: Value) -> Value:
        """What goes into the spec: of a drawn float DIGITS significant digits, within the range."""
        if not self.is_range or not isinstance(drawn, float):
            return drawn
        return min(max(float(f"{drawn:.{DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class SearchSpace:
    """The parameters of a sweep, searched and fixed, by name."""

    parameters: dict[str, Parameter]

    @property
    def searched(self) -> list[Parameter]:
        return [parameter for parameter in self.parameters.values() if not parameter.is_fixed]

    @property
    def fixed(self) -> dict[str, Value]:
        return {name: parameter.values[0] for name, parameter in self.parameters.items() if parameter.is_fixed}

    @property
    def is_listed(self) -> bool:
        """No range among the parameters: the space is a grid."""
        return not any(parameter.is_range for parameter in self.searched)

    @property
    def size(self) -> int:
        """Points of the grid; only if `is_listed`."""
        return math.prod(len(parameter.values) for parameter in self.searched)


def parse_space(words: Sequence[str], method: Method) -> SearchSpace:
    """`learning_rate=1e-5..1e-3:log`, `rank=8,16,32`, `epochs=2`: a range, a list, a fixed value.

    Raises InvalidInputError for a word that is none, a parameter that the method does not have, a value of another
    kind, nothing to search, and a search over the method's own parameters: they change what its loss measures, so
    that no loss tells which is better.
    """
    parameters: dict[str, Parameter] = {}
    for word in words:
        parameter = _parse(word, method)
        if parameter.name in parameters:
            raise InvalidInputError(f"--param {word}: {parameter.name} is given twice", field=parameter.name)
        parameters[parameter.name] = parameter
    space = SearchSpace(dict(sorted(parameters.items())))
    if not space.searched:
        raise InvalidInputError(
            "nothing to search: give --param with a range (learning_rate=1e-5..1e-3:log) or a list (rank=8,16,32)"
        )
    own = hyperparameters_of(method)["params"]
    for parameter in space.searched:
        if parameter.name in own:
            raise InvalidInputError(
                f"--param {parameter.name}: it changes what the {method} loss measures, so losses do not tell which is better: fix "
                f"it ({parameter.name}=VALUE), train one job each and compare them by `burnish eval`",
                field=parameter.name,
            )
    return space


def parse_values(words: Sequence[str], method: Method) -> dict[str, Value]:
    """Fixed values alone, as `parse_space` has them; an InvalidInputError for a range or a list."""
    parameters = [_parse(word, method) for word in words]
    for word, parameter in zip(words, parameters, strict=True):
        if not parameter.is_fixed:
            raise InvalidInputError(f"--param {word}: one value is wanted here", field=parameter.name)
    return {parameter.name: parameter.values[0] for parameter in parameters}


def has_parameter(name: str, method: Method) -> bool:
    return name in _searchable(method)


def make_spec(
    method: Method,
    *,
    dataset: str,
    version: str,
    adapter: str,
    values: Mapping[str, Value],
    hosted: HostedSpec | None = None,
) -> TuningSpec:
    """A spec with these values; all others are left to the trainer's defaults."""
    given: dict[str, Any] = dict(values)
    return tuning_spec(
        method, dataset_name=dataset, dataset_version=version, adapter_name=adapter, hosted=hosted, **given
    )


def command_of(method: Method, *, dataset: str, adapter: str, values: Mapping[str, Value]) -> str:
    """The `burnish train` command that trains with these values."""
    declared = _searchable(method)
    words = [f"burnish train {method} --dataset {dataset} --adapter {adapter}"]
    for name, value in values.items():
        option = "--" + declared[name].option.replace("_", "-")
        if isinstance(value, bool):
            words += [option] if value else []
        else:
            words.append(f"{option} {value_text(value)}")
    return " ".join(words)


def _searchable(method: Method) -> dict[str, Hyperparameter]:
    """The single-valued hyperparameters that decide what a run learns, by name."""
    groups = hyperparameters_of(method).values()
    return {name: one for group in groups for name, one in group.items() if one.is_single and one.decides_result}


def _parse(word: str, method: Method) -> Parameter:
    name, found, values = word.partition("=")
    name, values = name.strip().replace("-", "_"), values.strip()
    fields = _searchable(method)
    if not found or not values:
        raise InvalidInputError(
            f"--param {word!r} is not NAME=VALUES: learning_rate=1e-5..1e-3:log, rank=8,16,32 or epochs=2", field=name
        )
    if name not in fields:
        raise InvalidInputError(
            f"--param {word}: {method} has no single-valued parameter {name!r}; it has {', '.join(sorted(fields))}",
            field=name,
        )
    field = fields[name]
    if ".." in values:
        return _range(word, name, values, field)
    listed = tuple(_value(word, part.strip(), field) for part in values.split(","))
    if len(set(listed)) < len(listed):
        raise InvalidInputError(f"--param {word}: a value is given twice", field=name)
    return Parameter(name, listed)


def _range(word: str, name: str, values: str, field: Hyperparameter) -> Parameter:
    match = RANGE.match(values)
    if match is None:
        raise InvalidInputError(f"--param {word}: a range is LOW..HIGH or LOW..HIGH:log", field=name)
    low, high = _value(word, match["low"], field), _value(word, match["high"], field)
    if isinstance(low, bool | str) or isinstance(high, bool | str):
        raise InvalidInputError(f"--param {word}: {name} takes a list of values, not a range", field=name)
    if not low < high:
        raise InvalidInputError(f"--param {word}: {low} is not below {high}", field=name)
    if match["log"] and low <= 0:
        raise InvalidInputError(f"--param {word}: a logarithmic range starts above 0", field=name)
    return Parameter(name, low=low, high=high, log=bool(match["log"]), whole=field.kind == "whole number")


def _value(word: str, written: str, field: Hyperparameter) -> Value:
    try:
        if field.kind == "choice":
            return field.choices[field.choices.index(written.lower())]
        if field.kind == "flag":
            return {"true": True, "false": False}[written.lower()]
        if field.kind == "whole number":
            return int(written)
        number = float(written)
        if math.isfinite(number):
            return number
    except (ValueError, KeyError):
        pass
    wanted = WANTED.get(field.kind) or f"one of {', '.join(field.choices)}"
    raise InvalidInputError(f"--param {word}: {written!r} is not {wanted}", field=field.name)
