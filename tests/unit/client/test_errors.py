"""Answers become the errors that the services raised."""

from __future__ import annotations

import httpx
import pytest

from burnish.errors import (
    BurnishError,
    Code,
    IncompatibleAdapterError,
    InternalError,
    InvalidInputError,
    LeakageError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from burnish_client.sdk import errors as wire

WHERE = "curator at http://127.0.0.1:1"


def test_our_own_body_gives_the_same_class_with_its_facts() -> None:
    raised = LeakageError("question q7 is held out", question_id="q7")
    body = {"error": {**raised.to_dict(), "request_id": "r1"}}
    error = wire.from_http(httpx.Response(400, json=body), WHERE)
    assert type(error) is LeakageError
    assert error.message == "question q7 is held out"
    assert error.metadata == {"question_id": "q7", "request_id": "r1"}


def test_an_openai_shaped_body_gives_the_class_that_its_code_names() -> None:
    body = {
        "error": {
            "message": "rank 64 is above 32",
            "type": "invalid_request_error",
            "param": "model",
            "code": "incompatible_adapter",
        }
    }
    error = wire.from_http(httpx.Response(400, json=body), WHERE)
    assert type(error) is IncompatibleAdapterError
    assert error.message == "rank 64 is above 32"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, UnauthenticatedError),
        (404, NotFoundError),
        (422, InvalidInputError),
        (502, UnavailableError),
        (503, UnavailableError),
        (500, InternalError),
    ],
)
def test_an_answer_that_is_not_ours_goes_by_its_status(status: int, expected: type[BurnishError]) -> None:
    error = wire.from_http(httpx.Response(status, text="<html>proxy</html>"), WHERE)
    assert type(error) is expected
    assert WHERE in error.message
    assert str(status) in error.message
    assert "proxy" in error.message


def test_a_code_of_several_classes_keeps_the_code() -> None:
    error = wire.of_status(Code.FAILED_PRECONDITION, "not now")
    assert type(error) is BurnishError
    assert error.code is Code.FAILED_PRECONDITION


def test_no_answer_says_what_to_do() -> None:
    assert "`burnish up`" in wire.from_transport(httpx.ConnectError("refused"), WHERE).message
    assert "did not answer in time" in wire.from_transport(httpx.ReadTimeout(""), WHERE).message
