"""The options that make a dataset version. Used by `burnish dataset build` and `burnish train compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from burnish.errors import InvalidInputError
from burnish_client.cli.options.common import Options, option

if TYPE_CHECKING:
    from burnish.schemas.dataset import DatasetSpec


class SplitOptions(Options):
    """Which questions are trained on, held out and mixed in."""

    held_out_share: float = option(0.3, "Share of targeted questions kept for evaluation, in (0,1).")
    validation_share: float = option(0.1, "Share of training rows for validation loss, in [0,1).")
    anchor_ratio: float = option(0.5, "Anchor examples per correction (sft and kto), 0 to 10.")


def dataset_spec(split: SplitOptions, **fields: Any) -> DatasetSpec:
    """fields: the others of a DatasetSpec. Raises InvalidInputError that names the option."""
    from pydantic import ValidationError

    from burnish.schemas.dataset import DatasetSpec

    try:
        return DatasetSpec(
            held_out_share=split.held_out_share,
            validation_share=split.validation_share,
            anchor_ratio=split.anchor_ratio,
            **fields,
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise InvalidInputError(f"--{option}: {first['msg']} (given: {first['input']})") from error
