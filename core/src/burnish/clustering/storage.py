"""A clustering as files: the manifest, and which line is in which cluster. Keys: burnish.layout.clustering."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from burnish.clustering.finding import Found
from burnish.digests import canonical_json, sha256_hex, version_of
from burnish.runlogs.columns import LINE_NUMBER
from burnish.runlogs.reader import GivenLabels, RunLogReader
from burnish.schemas.base import FileEntry, Parent
from burnish.schemas.clustering import ClusteringManifest, ClusteringSpec, Edit, EmbedderRef

ROWS = "rows.parquet"
UNSTATED = {"created_at", "burnish_version", "files", "version", "schema_version"}  # no part of what a version is of


def rows_file(found: Found) -> bytes:
    """Columns line, cluster and topic; cluster -1: in none."""
    columns = {"line": found.line_R, "cluster": found.cluster_R, "topic": found.topic_R}
    sink = io.BytesIO()
    pq.write_table(pa.table({name: pa.array(values, pa.int32()) for name, values in columns.items()}), sink)
    return sink.getvalue()


def read_rows(content: bytes, manifest: ClusteringManifest, log: RunLogReader) -> Found:
    """Of the lines that the run log still has: an erasure may have taken some."""
    table = pq.read_table(pa.BufferReader(content))
    line, cluster, topic = (table[name].to_numpy().astype(np.int64) for name in ("line", "cluster", "topic"))
    of_row = log.columns([LINE_NUMBER])[LINE_NUMBER].to_numpy()
    _, kept, row = np.intersect1d(line, of_row, assume_unique=True, return_indices=True)
    return Found(row, line[kept], cluster[kept], topic[kept], manifest.clusters, manifest.topics)


def given_labels(found: Found) -> GivenLabels:
    return GivenLabels(found.row_R, found.cluster_R, [cluster.name for cluster in found.clusters])


def seal(
    run_log_id: str,
    spec: ClusteringSpec,
    embedder: EmbedderRef,
    found: Found,
    parent: ClusteringManifest | None = None,
    edit: Edit | None = None,
) -> tuple[ClusteringManifest, bytes]:
    """(manifest, content of ROWS). parent: what a person edited, or whose clusters were put to use in another run log."""
    content = rows_file(found)
    parents = [Parent(kind="runlog", name=run_log_id, digest=run_log_id)]
    if parent is not None:
        parents.append(Parent(kind="clustering", name=parent.name, digest=parent.version))
    manifest = ClusteringManifest(
        name=run_log_id,
        version="",
        spec=spec,
        embedder=embedder,
        edit=edit,
        lines=len(found.row_R),
        alone=int((found.cluster_R < 0).sum()),
        clusters=found.clusters,
        topics=found.topics,
        parents=parents,
        files=[FileEntry(path=ROWS, size_bytes=len(content), sha256=sha256_hex(content))],
    )
    stated = manifest.model_dump(mode="json", exclude=UNSTATED)
    members = np.stack([found.line_R, found.cluster_R, found.topic_R]).astype("<i4").tobytes()
    return manifest.model_copy(update={"version": version_of(canonical_json(stated), members)}), content
