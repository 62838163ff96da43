"""The error tree: every class keeps its code, reason and metadata through pickle and the wire form."""

from __future__ import annotations

import pickle

import pytest

from burnish import errors
from burnish.errors import BurnishError, Code


def concrete() -> list[type[BurnishError]]:
    return BurnishError.__subclasses__()


def test_codes_are_those_of_google_rpc_code_proto() -> None:
    numbers = {code.name: code.grpc_number for code in Code}
    assert numbers["INVALID_ARGUMENT"] == 3
    assert numbers["UNAUTHENTICATED"] == 16
    assert len(set(numbers.values())) == len(numbers)
    assert {code.http_status for code in Code} <= {400, 401, 403, 404, 409, 429, 499, 500, 501, 503, 504}


@pytest.mark.parametrize("cls", concrete(), ids=lambda c: c.__name__)
def test_an_error_survives_pickle_and_the_wire(cls: type[BurnishError]) -> None:
    error = cls("line 3: no comma", line=3)
    for copy in (pickle.loads(pickle.dumps(error)), errors.from_dict(error.to_dict())):
        assert type(copy) is cls
        assert (copy.message, copy.metadata, copy.code) == (error.message, {"line": "3"}, cls.code)


def test_reasons_are_distinct_and_documented() -> None:
    reasons = [cls("").reason for cls in concrete()]
    assert len(set(reasons)) == len(reasons)
    assert errors.IncompatibleAdapterError("").reason == "INCOMPATIBLE_ADAPTER"
    assert all(cls.__doc__ and len(cls.__doc__) > 30 for cls in concrete())


def test_an_unknown_reason_keeps_its_code_and_words() -> None:
    error = errors.from_dict({"reason": "FROM_THE_FUTURE", "code": "NOT_FOUND", "message": "no such moon"})
    assert type(error) is BurnishError
    assert (error.code, error.message) == (Code.NOT_FOUND, "no such moon")
