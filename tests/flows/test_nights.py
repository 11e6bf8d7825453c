"""Nights: their names over the changes of the clock, and what a night does that is missed, quiet, or there already."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from pipeline.base.locks import WAITS
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifests, total_counts
from tests.flows.deployments import write_texts

RECIPE = """
name = "nights"
stages = ["clean", "dedup", "tokenize"]
[[sources]]
name = "s"
paths = ["in/x.jsonl"]
[tokenize]
vocabulary_size = 300
validation_share = 0.05
"""


def schedule(cron: str, zone: str) -> Any:
    from prefect.client.schemas.objects import DeploymentSchedule
    from prefect.client.schemas.schedules import CronSchedule

    return DeploymentSchedule(schedule=CronSchedule(cron=cron, timezone=zone), active=True)


@pytest.mark.parametrize("zone", ["Europe/London", "America/New_York", "Asia/Tokyo", "Pacific/Apia", "UTC"])
@pytest.mark.parametrize("cron", ["30 0 * * *", "30 2 * * *", "30 22 * * *"])
@pytest.mark.parametrize("around", [datetime(2026, 3, 18, tzinfo=UTC), datetime(2026, 10, 22, tzinfo=UTC)])
def test_each_night_of_a_daily_schedule_has_a_day_of_its_own_over_both_changes_of_the_clock(
    cron: str, zone: str, around: datetime
) -> None:
    from flows.session.night_schedule import days_between

    first, last = f"{around:%Y-%m-%d}", f"{around + timedelta(days=20):%Y-%m-%d}"
    expected = [f"{around + timedelta(days=n):%Y-%m-%d}" for n in range(1, 20)]
    assert days_between([schedule(cron, zone)], first, last) == expected


@pytest.mark.parametrize(
    ("scheduled", "zone", "day"),
    [
        (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "Europe/London", "2026-03-29"),
        (datetime(2026, 3, 29, 23, 30, tzinfo=UTC), "Europe/London", "2026-03-30"),
        (datetime(2026, 10, 24, 23, 30, tzinfo=UTC), "Europe/London", "2026-10-25"),
        (datetime(2026, 10, 26, 0, 30, tzinfo=UTC), "Europe/London", "2026-10-26"),
        (datetime(2026, 1, 16, 3, 30, tzinfo=UTC), "America/New_York", "2026-01-15"),
        (datetime(2026, 1, 14, 17, 30, tzinfo=UTC), "Asia/Tokyo", "2026-01-15"),
    ],
)
def test_night_is_named_by_the_day_in_its_zone(scheduled: datetime, zone: str, day: str) -> None:
    from flows.session.night_schedule import day_of

    assert day_of(scheduled, zone) == day


def test_zone_that_does_not_exist_is_named() -> None:
    from flows.session.night_schedule import day_of
    from pipeline.base.errors import UserError

    for zone in ("Europe/Londn", "../etc/passwd", "/etc/localtime", ""):
        with pytest.raises(UserError, match="not a zone; names are such as Europe/London"):
            day_of(datetime.now(UTC), zone)


def test_weekly_schedule_misses_its_own_nights_only() -> None:
    from flows.session.night_schedule import days_between

    assert days_between([schedule("0 3 * * 1", "UTC")], "2026-03-02", "2026-03-23") == ["2026-03-09", "2026-03-16"]


def deployment(recipe: Path, runs: Path, *schedules: Any) -> UUID:
    """A deployment of the flow, whose crawl of a day is in/DAY/."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    from flows.nightly import nightly

    given = {"recipe": str(recipe), "runs": str(runs), "workers": 1}
    given["overrides"] = [f'sources.0.paths=["{recipe.parent}/in/{{day}}/*.jsonl"]']
    with get_client(sync_client=True) as client:
        made = [DeploymentScheduleCreate(schedule=each.schedule, active=False) for each in schedules]
        return client.create_deployment(
            client.create_flow(nightly), name=str(uuid4()), parameters=given, schedules=made
        )


def night(deployment_id: UUID, scheduled: datetime, **more: Any) -> dict[str, Any]:
    """A flow run of the deployment that was scheduled for a time, run as a worker's process runs it."""
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import Scheduled

    from flows.nightly import nightly

    with get_client(sync_client=True) as client:
        made = client.create_flow_run_from_deployment(
            deployment_id, parameters=more, state=Scheduled(scheduled_time=scheduled)
        )
    result: Any = run_flow(nightly, flow_run=made)
    return dict(result)


def kept_earlier(run: Path) -> int:
    return total_counts(load_manifests(str(run), "dedup.clusters").values())["removed_earlier"]


@pytest.mark.slow
@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nights_in_london_one_of_them_missed_one_quiet_one_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from pipeline.base.errors import RunError

    monkeypatch.setenv(WAITS, "")  # which the flow run of a deployment sets
    recipe, runs, crawl = tmp_path / "recipe.toml", tmp_path / "runs", tmp_path / "in"
    recipe.write_text(RECIPE, encoding="utf-8")
    write_texts(crawl / "2026-03-29" / "x.jsonl", 0, 40)
    write_texts(crawl / "2026-03-30" / "x.jsonl", 30, 60)
    write_texts(crawl / "2026-04-01" / "x.jsonl", 0, 20)
    write_texts(crawl / "2026-03-31" / "x.jsonl", 50, 80)
    (crawl / "2026-04-02").mkdir()
    made = deployment(recipe, runs, schedule("30 0 * * *", "Europe/London"))

    night(made, datetime(2026, 3, 29, 0, 30, tzinfo=UTC))
    night(made, datetime(2026, 3, 29, 23, 30, tzinfo=UTC))  # 00:30 in London on the 30th
    assert sorted(folder.name for folder in runs.iterdir()) == ["2026-03-29", "2026-03-30"]
    assert kept_earlier(runs / "2026-03-30") == 10
    assert "scheduled for 2026-03-30 00:30 in Europe/London (the zone of the schedule)" in capfd.readouterr().err

    with pytest.raises(RunError, match=r"2026-03-30 has been made already by the flow run that was scheduled for"):
        night(made, datetime(2026, 3, 30, 12, 0, tzinfo=UTC))

    quiet = night(made, datetime(2026, 3, 31, 23, 30, tzinfo=UTC))  # what the first night has, and the 31st missed
    told = capfd.readouterr().err
    assert "a quiet night: none of 20 documents is new; the night of 2026-04-01 adds no tokens" in told
    assert "1 night before this one without a finished run: 2026-03-31" in told
    assert "tokenize" not in quiet

    night(made, datetime(2026, 4, 1, 8, 0, tzinfo=UTC), day="2026-03-31")  # the advice: made up later
    assert kept_earlier(runs / "2026-03-31") == 10
    assert Run.open(runs / "2026-03-31").recipe.train.runs == [str(runs / d) for d in ("2026-03-29", "2026-03-30")]

    night(made, datetime(2026, 4, 1, 23, 30, tzinfo=UTC))
    told = capfd.readouterr().err
    assert "a quiet night: the crawl is empty" in told
    assert "without a finished run" not in told
    assert "quiet" in json.loads((runs / "2026-04-02/logs/night.json").read_text("utf-8"))

    before = Run.open(runs / "2026-03-30").recipe
    night(made, datetime(2026, 4, 2, 8, 0, tzinfo=UTC), day="2026-03-30")  # given, so it may be there
    assert Run.open(runs / "2026-03-30").recipe == before, "later nights know it, not the other way round"


def test_day_made_up_before_the_first_night_shares_its_tokenizer_and_none_of_its_texts(tmp_path: Path) -> None:
    from flows.session.nights import Nights

    for day in ("2026-03-29", "2026-03-30"):
        (tmp_path / "runs" / day / "manifests").mkdir(parents=True)
        (tmp_path / "runs" / day / "manifests" / "tokenize.json").write_text("{}", encoding="utf-8")
    seen = Nights(str(tmp_path / "runs"), "2026-03-01")
    assert [Path(root).name for root in seen.others] == ["2026-03-29", "2026-03-30"]
    assert seen.earlier == []


def test_zones_of_several_schedules_must_be_told_apart() -> None:
    from flows.session.night_schedule import zone_of
    from pipeline.base.errors import UserError

    both = [schedule("30 0 * * *", "Europe/London"), schedule("30 12 * * *", "Asia/Tokyo")]
    with pytest.raises(UserError, match="in several zones, Asia/Tokyo, Europe/London: give `zone` or `day`"):
        zone_of(both)
    assert zone_of(both[:1])[0] == "Europe/London"
    assert zone_of([])[0] == "UTC"


@pytest.mark.parametrize(
    ("training", "validation", "share", "told"),
    [
        (33, 33, 0.05, ""),
        (768, 0, 0.05, "0 validation tokens"),
        (768, 0, 0.0, ""),
        (32, 40, 0.05, "32 training tokens"),
    ],
)
def test_night_with_less_than_a_window_of_tokens_does_not_train(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], training: int, validation: int, share: float, told: str
) -> None:
    from flows.session.nights import told_if_few
    from pipeline.recipe.load import load_recipe
    from tests.flows.deployments import write_recipe

    recipe = load_recipe(write_recipe(tmp_path), [f"tokenize.validation_share={share}"])
    made = {"tokenize": {"train_tokens": training, "validation_tokens": validation}}
    assert told_if_few("2026-01-31", recipe, made) == bool(told)
    said = capfd.readouterr().err
    assert (f"the night of 2026-01-31 has {told}, too few for a window of 33: no training" in said) == bool(told)
