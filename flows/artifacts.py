"""What a run shows on Prefect's artifact pages: progress by stage, the funnel, the loss curve, where the report is.

An artifact of Prefect's holds text or a URL, never a file: the loss curve goes into its URL as a ``data:`` image of a
few kilobytes, so that it shows on any server.  Progress is sent at most every two seconds: an embedded server loses
records in bursts.
"""

import base64
import json
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.curve import loss_curve_svg
from flows.show import funnel_rows, shown
from pipeline import storage
from pipeline.run import Run

METRICS = "metrics/train.jsonl"
REPORT = "report/index.html"


class StageArtifacts:
    """One progress artifact for each stage, updated as its shards finish."""

    def __init__(self) -> None:
        self._ids: dict[str, UUID] = {}

    def start(self, stage: str) -> None:
        """Creates the artifact at 0 %."""
        made = create_progress_artifact(0.0, key=f"tokenmill-{stage}", description=f"{stage}: started")
        self._ids[stage] = cast(UUID, made)  # a coroutine only inside an async flow

    def update(self, stage: str, share: float, text: str) -> None:
        """Sets the artifact's percentage."""
        if stage in self._ids:
            update_progress_artifact(self._ids[stage], progress=round(100.0 * share, 1), description=text)


def publish_funnel(summaries: dict[str, dict[str, Any]]) -> None:
    """The funnel as a table, and the reasons of the filter as another."""
    rows = funnel_rows(summaries)
    if rows:
        create_table_artifact(key="tokenmill-funnel", table=rows, description="what each stage took in and kept")
    reasons = summaries.get("filter", {}).get("reasons", {})
    if reasons:
        ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        table = [{"reason": name, "documents": shown(count)} for name, count in ordered]
        create_table_artifact(key="tokenmill-reasons", table=table, description="documents by the rule they failed")


def publish_loss_curve(run: Run) -> None:
    """The loss by step as an image; nothing when nothing was trained."""
    url = run.url(METRICS)
    if not storage.exists(url):
        return
    lines = [json.loads(line) for line in storage.read_bytes(url).splitlines() if line.strip()]
    svg = loss_curve_svg(lines)
    if svg:
        data = base64.b64encode(svg.encode()).decode()
        create_image_artifact(
            image_url=f"data:image/svg+xml;base64,{data}", key="tokenmill-loss", description="loss by training step"
        )


def publish_report_link(run: Run) -> None:
    """Where the report is: a link, and the path in words, since browsers refuse file links on a page from a server."""
    url = run.url(REPORT)
    if not storage.exists(url):
        return
    link = storage.local_path(url).as_uri() if storage.is_local(url) else url
    create_link_artifact(link=link, link_text="report/index.html", key="tokenmill-report-link")
    create_markdown_artifact(f"The report of this run: `{url}`", key="tokenmill-report", description="report")
