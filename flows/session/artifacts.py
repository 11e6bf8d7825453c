"""What a run shows on Prefect's artifact pages: progress by stage, the funnel, the loss curve, where the report is.

An artifact of Prefect's holds text or a URL, never a file: the loss curve, the report's own picture, goes into its URL
as a ``data:`` image of some fifty kilobytes, so that it shows on any server.  Progress is sent at most every two
seconds: an embedded server loses records in bursts.  Everything goes through one client that is held open: Prefect's
own functions (3.8.8) make one for each artifact and leave its socket open.
"""

import base64
import json
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.utilities.context import get_task_and_flow_run_ids

from flows.display.terminal import funnel_rows
from flows.server.lost_server import is_lost, told_if_possible
from pipeline.base import storage
from pipeline.base.words import figure, largest_first
from pipeline.run import layout
from pipeline.run.folder import Run


class Artifacts:
    """The artifacts of one run; after a server has gone away nothing more is sent."""

    def __init__(self) -> None:
        self._ids: dict[str, UUID] = {}
        self._client: SyncPrefectClient | None = None

    def __enter__(self) -> Self:
        self._client = get_client(sync_client=True).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.__exit__(kind, error, trace)
            self._client = None

    def start(self, stage: str) -> None:
        """Creates the progress artifact of a stage at 0 %."""
        made = self._create("progress", f"tokenmill-{stage}", 0.0, f"{stage}: started")
        if made is not None:
            self._ids[stage] = made

    def update(self, stage: str, share: float, text: str) -> None:
        """Sets the stage's percentage."""
        if self._client is None or is_lost() or stage not in self._ids:
            return
        values = ArtifactUpdate(data=round(100.0 * share, 1), description=text)
        with told_if_possible():
            self._client.update_artifact(self._ids[stage], values)

    def table(self, key: str, rows: list[dict[str, Any]], description: str) -> None:
        """A table with one row per item."""
        self._create("table", key, json.dumps(rows), description)

    def funnel(self, summaries: dict[str, dict[str, Any]]) -> None:
        """The funnel as a table, and the reasons of the filter as another."""
        rows = funnel_rows(summaries)
        if rows:
            self.table("tokenmill-funnel", rows, "what each stage took in and kept")
        reasons = summaries.get("filter", {}).get("reasons", {})
        if reasons:
            table = [{"reason": name, "documents": figure(count)} for name, count in largest_first(reasons)]
            self.table("tokenmill-reasons", table, "documents by the rule they failed")

    def loss_curve(self, run: Run) -> None:
        """The loss by step as an image; nothing before two steps were logged."""
        from pipeline.report.charts.png import draw_png
        from pipeline.report.figures import Figures
        from pipeline.report.plots import loss_chart
        from pipeline.report.training import collect_training

        figures = Figures()
        collect_training(run, figures)
        if len(figures.training) > 1:
            data = base64.b64encode(draw_png(loss_chart(figures))).decode()
            self._create("image", "tokenmill-loss", f"data:image/png;base64,{data}", "loss by training step")

    def report_link(self, run: Run) -> None:
        """Where the report is: a link, and the path in words, since browsers refuse file links on a server's page."""
        url = run.url(layout.REPORT_PAGE)
        if not storage.exists(url):
            return
        link = storage.local_path(url).as_uri() if storage.is_local(url) else url
        self._create("markdown", "tokenmill-report-link", f"[{layout.REPORT_PAGE}]({link})", "report")
        self._create("markdown", "tokenmill-report", f"The report of this run: `{url}`", "report")

    def _create(self, kind: str, key: str, data: str | float, description: str) -> UUID | None:
        if self._client is None or is_lost():
            return None
        task_run_id, flow_run_id = get_task_and_flow_run_ids()
        wanted = ArtifactCreate(
            type=kind, key=key, data=data, description=description, task_run_id=task_run_id, flow_run_id=flow_run_id
        )
        with told_if_possible():
            return self._client.create_artifact(wanted).id
        return None
