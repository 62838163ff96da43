"""Jobs that a provider trains: what a job says of it, what each provider can do, and the model that it leaves there.

A provider is declared here once, and has a file in the trainer's hosted/providers/. Importing this is light.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from pydantic import AwareDatetime, Field

from burnish.digests import canonical_json, version_of
from burnish.errors import InvalidInputError
from burnish.schemas.base import Frozen, Manifest
from burnish.schemas.dataset import ExportForm
from burnish.schemas.training.methods import Method

ProviderName = Literal["openai", "together", "fireworks", "vertex"]
LOCAL = "local"


class HostedSpec(Frozen):
    """Where a job runs if a provider trains it."""

    provider: ProviderName
    model: str = Field(pattern=r"^[!-~]{1,200}$", description="the provider's own name of the base model")
    spend_limit_usd: float = Field(ge=0, le=1_000_000, description="the job is refused if its estimate is above this")


class RemoteModel(Frozen):
    """A tuned model that stays with its provider: it answers there, under this name, to the account that trained it.

    endpoint: base URL of the provider's chat completions. expires_at: None if the provider says nothing of it.
    """

    provider: ProviderName
    endpoint: str
    model: str
    base_model: str
    expires_at: AwareDatetime | None = None

    @property
    def version(self) -> str:
        """Of a remote model under an adapter's name: the same model at the same place is one version."""
        return version_of(canonical_json(self.model_dump(mode="json", exclude={"expires_at"})))

    @property
    def label(self) -> str:
        """For people: who answers, and where."""
        return f"{self.provider} ({self.endpoint})"

    def expiry(self, now: datetime) -> str | None:
        """For people: until when it answers, or since when it does no more; None if the provider says nothing of it."""
        if self.expires_at is None:
            return None
        day = f"{self.expires_at:%Y-%m-%d}"
        if now < self.expires_at:
            return f"{self.model} answers at {self.provider} until {day}, and not after that"
        return f"{self.model} has expired: {self.provider} has said that it answers until {day}"


class RemoteModelManifest(Manifest):
    """remote-models/<name>/<version>/manifest.json: a remote model as a version of a named adapter that has no weights here.

    version: remote.version. params: the whole spec of the job.
    """

    name: str
    version: str
    remote: RemoteModel
    job_id: str
    method: Method
    seed: int
    params: dict[str, Any] = {}


@dataclass(frozen=True)
class Provider:
    """What a provider is and can do.

    package: its SDK, an extra of the trainer. key: environment variable of its credential; address: of its base URL, which
    selects another server of the same shape; usual_address: where it is without that.
    methods: with the form of its rows. parameters: paths in a JobSpec that it takes; any other one that a caller sets is
    refused. least_rows and largest_file_bytes: of an upload. gives_weights: the adapter comes back as files. estimates: it says
    the price of a job itself, once it has the rows. settings: further variables that it must have; optional: and may have.
    key_is_file: of the credential, which calls themselves do not carry. longest_row_tokens: of a training row, if there is a limit; most_rows: of an upload, if there is one.
    answers_until: when what was tuned at the usual address stops to answer, as far as the provider has said so.
    """

    title: str
    package: str
    key: str
    address: str
    usual_address: str
    methods: Mapping[Method, ExportForm]
    parameters: frozenset[str]
    least_rows: int
    largest_file_bytes: int
    gives_weights: bool = False
    estimates: bool = False
    settings: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    key_is_file: bool = False
    longest_row_tokens: int | None = None
    most_rows: int | None = None
    answers_until: datetime | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        return (self.key, self.address, *self.settings, *self.optional)


# Of an adapter that a provider trains by the same method as we do; what else it asks for is its own.
LORA_PARAMETERS = frozenset(
    {
        "optimizer.epochs",
        "optimizer.batch_size",
        "optimizer.learning_rate",
        "optimizer.gradient_accumulation_steps",
        "lora.rank",
        "params.beta",
    }
)

PROVIDERS: Mapping[ProviderName, Provider] = {
    "openai": Provider(
        title="OpenAI's tuning API",
        package="openai",
        key="OPENAI_API_KEY",
        address="OPENAI_BASE_URL",
        usual_address="https://api.openai.com/v1",
        methods={"sft": "openai-messages", "dpo": "together"},
        parameters=frozenset({"optimizer.epochs", "optimizer.batch_size", "params.beta", "seed"}),
        least_rows=10,
        largest_file_bytes=512_000_000,
        answers_until=datetime(2027, 1, 14, tzinfo=UTC),
    ),
    "together": Provider(
        title="Together AI",
        package="together",
        key="TOGETHER_API_KEY",
        address="TOGETHER_BASE_URL",
        usual_address="https://api.together.ai",
        methods={"sft": "together", "dpo": "together"},
        parameters=LORA_PARAMETERS
        | {"optimizer.warmup_share", "lora.alpha", "lora.dropout", "lora.target_modules", "seed"},
        least_rows=1,
        largest_file_bytes=50_000_000_000,
        gives_weights=True,
        estimates=True,
    ),
    "fireworks": Provider(
        title="Fireworks AI",
        package="fireworks",
        key="FIREWORKS_API_KEY",
        address="FIREWORKS_BASE_URL",
        usual_address="https://api.fireworks.ai",
        methods={"sft": "together", "dpo": "together"},
        parameters=LORA_PARAMETERS,
        least_rows=3,
        most_rows=3_000_000,
        largest_file_bytes=5_000_000_000_000,  # of one object in the store that takes its files
        gives_weights=True,
        settings=("FIREWORKS_ACCOUNT_ID",),
    ),
    "vertex": Provider(
        title="Google Vertex AI",
        package="google.genai",
        key="GOOGLE_APPLICATION_CREDENTIALS",
        address="GOOGLE_VERTEX_BASE_URL",
        usual_address="https://aiplatform.googleapis.com",
        methods={"sft": "vertex", "dpo": "vertex"},
        parameters=frozenset({"optimizer.epochs", "lora.rank", "params.beta"}),
        least_rows=1,
        largest_file_bytes=1_000_000_000,
        settings=("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION", "BURNISH_VERTEX_BUCKET"),
        optional=("STORAGE_EMULATOR_HOST",),
        key_is_file=True,
        longest_row_tokens=131_072,
    ),
}

# Of every provider: only the process that speaks to one may see its own.
VARIABLES = frozenset(name for provider in PROVIDERS.values() for name in provider.variables)


def read_place(text: str) -> tuple[ProviderName, str] | None:
    """`openai:MODEL` as (provider, model); None for `local`. InvalidInputError for anything else."""
    provider, colon, model = text.partition(":")
    if text == LOCAL:
        return None
    name = next((known for known in get_args(ProviderName) if known == provider), None)
    if name is None or not colon or not model:
        places = ", ".join([LOCAL, *(f"{known}:MODEL" for known in get_args(ProviderName))])
        raise InvalidInputError(f"{text!r} is no place to train: write one of {places}", field="hosted")
    return name, model
