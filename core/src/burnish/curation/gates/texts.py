"""The gate that reads every text of a row: secrets and personal data, left out, masked or kept as the spec says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from burnish.curation.gates import personal
from burnish.curation.gates.ledger import Ledger
from burnish.curation.gates.secrets import SecretScanner
from burnish.curation.output.sealing import Row
from burnish.curation.splitting import Partition
from burnish.curation.targets import Example
from burnish.schemas.base import Message
from burnish.schemas.dataset import DatasetSpec

SECRET = "secret in its text"
PERSONAL = "personal data in its text"
FIELDS = ("prompt", "completion", "chosen", "rejected")


class TextGate:
    """secrets, personal_data: kind -> rows that hold it and stayed, masked or as they are."""

    def __init__(self, spec: DatasetSpec) -> None:
        self._secrets, self._personal = spec.secrets, spec.personal_data
        self._scanner = SecretScanner()
        self.secrets: Counter[str] = Counter()
        self.personal_data: Counter[str] = Counter()

    def refusal(self, texts: Sequence[str]) -> str | None:
        """Why a row with these texts is left out; None if it stays."""
        if self._secrets == "drop" and (found := self._secret_kinds(texts)):
            return f"{SECRET}: {', '.join(sorted(found))}"
        if self._personal == "drop" and (found := _personal_kinds(texts)):
            return f"{PERSONAL}: {', '.join(sorted(found))}"
        return None

    def without(self, parts: Partition, texts_of: Callable[[Example], Sequence[str]], ledger: Ledger) -> Partition:
        """texts_of: every text of the rows that an example becomes."""
        refused = {e.key: reason for e in parts.trained if (reason := self.refusal(texts_of(e)))}
        for example in parts.trained:
            if example.key in refused:
                ledger.leave_out(refused[example.key], example.question_ids)
        return parts.changed(lambda example: None if example.key in refused else example)

    def cleaned(self, rows: Sequence[Row], ledger: Ledger) -> list[Row]:
        """The rows, masked where the spec says so."""
        return [self._cleaned(row, ledger) for row in rows]

    def _cleaned(self, row: Row, ledger: Ledger) -> Row:
        texts = row_texts(row)
        secrets, personal_data = self._secret_kinds(texts), _personal_kinds(texts)
        self.secrets.update(secrets)
        self.personal_data.update(personal_data)
        hidden = [
            f"{reason}: {', '.join(sorted(found))}"
            for reason, found, action in (
                (SECRET, secrets, self._secrets),
                (PERSONAL, personal_data, self._personal),
            )
            if found and action == "mask"
        ]
        if not hidden:
            return row
        for reason in hidden:
            ledger.mask(reason, [row.question_id])
        changed = {name: [self._masked(m) for m in getattr(row, name)] for name in FIELDS if hasattr(row, name)}
        return row.model_copy(update=changed)

    def _masked(self, message: Message) -> Message:
        text = self._scanner.masked(message.content) if self._secrets == "mask" else message.content
        return Message(role=message.role, content=personal.masked(text) if self._personal == "mask" else text)

    def _secret_kinds(self, texts: Iterable[str]) -> frozenset[str]:
        return frozenset().union(*map(self._scanner.kinds, texts))


def row_texts(row: Row) -> list[str]:
    return [message.content for name in FIELDS for message in getattr(row, name, ())]


def _personal_kinds(texts: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*map(personal.kinds, texts))
