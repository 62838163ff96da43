"""Clusterings: groups of failures that nobody labelled, and what a person made of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from burnish.schemas.base import Frozen, Manifest

MOST_NAME = 100  # characters
MOST_LABEL, MOST_SENTENCE = 40, 200  # characters, of what a model proposes
LABEL = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"
MOST_SEED = 2**31 - 1


class EmbedderRef(Frozen):
    """What made vectors of the texts, so that the same clustering can be made again."""

    name: str
    digest: str = Field(description="sha256:… of weights and tokenizer; of an endpoint, of the vectors that it gave")
    dimensions: int


def _printable(text: str) -> str:
    if not text.isprintable():  # single surrogates are not, either
        raise ValueError("use printable text")
    return text


Printable = Annotated[str, AfterValidator(_printable)]


class ClusteringSpec(Frozen):
    """What to cluster: the model's failures without a label, and those with one of `labels`."""

    labels: list[Printable] = Field(
        default=[], description="logged failure labels that are clustered too, and replaced"
    )
    like: Printable | None = Field(
        default=None,
        description="run log/version of a clustering: failures like its clusters are put into them, others are new",
    )
    seed: int = Field(default=0, ge=0, le=MOST_SEED)


class ProposedName(Frozen):
    """What a model would call a cluster. It changes nothing until a person accepts it."""

    label: str = Field(
        max_length=MOST_LABEL, pattern=rf"^{LABEL}$", description="lower-case words joined by underscores"
    )
    sentence: Printable = Field(min_length=1, max_length=MOST_SENTENCE, description="what these answers do")
    model: Printable = Field(max_length=200)


class Cluster(Frozen):
    """Failures that are alike. `name` is their failure label."""

    name: str
    signature: str | None = Field(default=None, description="the rule that found them, without embeddings")
    size: int = Field(description="failing lines")
    questions: int
    distinct: int = Field(description="answers, near-duplicates counted once")
    stability: float | None = Field(
        default=None, ge=0, le=1, description="how much of it is found again in subsamples; null: by a rule or a person"
    )
    canned: bool = Field(default=False, description="one text, given to many questions")
    proposed: ProposedName | None = None
    known: bool = Field(default=False, description="placed by likeness to a cluster of `like`")
    topics: dict[str, int] = Field(default={}, description="topic -> lines")
    phrases: list[str] = []
    central: list[int] = Field(
        default=[], description="numbers of the lines with the most typical answers, each of another question"
    )
    odd: list[int] = Field(default=[], description="of the least typical ones")


class Edit(Frozen):
    """What a person changes: rename one cluster, merge several into one, split one by its answers, or keep names that a model proposed."""

    kind: Literal["rename", "merge", "split", "propose"]
    clusters: list[str] = Field(min_length=1, description="names; one for rename and split")
    proposals: list[ProposedName] = Field(default=[], description="of propose: one for each of `clusters`")
    name: str | None = Field(default=None, max_length=MOST_NAME, description="new name, for rename and merge")
    parts: int = Field(default=2, ge=2, le=20, description="of split: at most so many")

    @field_validator("name")
    @classmethod
    def plain(cls, name: str | None) -> str | None:
        if name is not None and (not name.strip() or name != name.strip() or not name.isprintable()):
            raise ValueError("a name is printable text without white space at its ends")
        return name


class ClusteringManifest(Manifest):
    """clusterings/<run log>/<version>/manifest.json. The newest of a run log decides its lines' labels. It holds no answer: line numbers, counts and names alone."""

    name: str = Field(description="id of the run log")
    version: str
    spec: ClusteringSpec
    embedder: EmbedderRef
    edit: Edit | None = Field(default=None, description="what made it of its parent")
    lines: int = Field(description="failing lines that were clustered")
    alone: int = Field(description="of them, those that are like too few others to be a cluster; they stay unlabelled")
    clusters: list[Cluster] = Field(description="largest first")
    topics: dict[str, int] = Field(default={}, description="topic -> lines, largest first")
