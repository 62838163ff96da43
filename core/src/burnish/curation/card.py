"""README.md of a dataset version: what is in it, for a person who meets the folder."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from burnish.schemas.dataset import DatasetManifest

_ENVIRONMENT = Environment(
    loader=PackageLoader("burnish.curation", "."),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # Markdown; names and labels are the user's own
)


def dataset_card(manifest: DatasetManifest) -> str:
    """Markdown without a date, so that the same version has the same card."""
    wanted = round(manifest.spec.anchor_ratio * manifest.counts.corrections) if manifest.spec.format != "dpo" else 0
    counts = manifest.counts
    unwanted = counts.train + counts.validation - counts.corrections - counts.anchors
    share = round(100 * manifest.counts.held_out / len(manifest.split.targeted))
    template = _ENVIRONMENT.get_template("dataset_card.md.jinja")
    return template.render(m=manifest, wanted_anchors=wanted, unwanted=unwanted, share=share)
