"""Which night it is: the day of a scheduled time in the zone of its schedule, and the nights that a schedule has had.

A day in UTC is not the day that people mean: 00:30 in London is on the day before in UTC as long as summer time lasts,
so that two nights have one name where the clocks change.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.runtime import deployment, flow_run

from pipeline.base.errors import UserError

MOST_DAYS = 366  # back from a night in which missed ones are looked for


@dataclass(frozen=True)
class Night:
    """One night.

    Attributes:
        day: Its name, such as 2026-01-31.
        scheduled: When its run was scheduled for.
        where: Where its zone is from; empty where the day was given.
        zone: The zone that the day is of.
        schedules: The schedules of its deployment: the one that made the run, else those that are active, else all.
    """

    day: str
    scheduled: datetime
    where: str
    zone: str
    schedules: tuple[DeploymentSchedule, ...]

    def told(self) -> str:
        """How it got its name."""
        if not self.where:
            return f"the night of {self.day}, as was asked for"
        local = self.scheduled.astimezone(ZoneInfo(self.zone))
        return f"the night of {self.day}: scheduled for {local:%Y-%m-%d %H:%M} in {self.zone} ({self.where})"


def find_night(day: str, zone: str) -> Night:
    """The night of the current flow run.

    Args:
        day: Its name, where it was given.
        zone: The zone, where it was given.

    Raises:
        UserError: If the zone is unknown, or the deployment has schedules in several zones and none was given.
    """
    scheduled = flow_run.get_scheduled_start_time() or datetime.now(UTC)
    schedules = _schedules()
    if day:
        return Night(day, scheduled, "", zone or "UTC", schedules)
    zone, where = (zone, "as was asked for") if zone else zone_of(schedules)
    return Night(day_of(scheduled, zone), scheduled, where, zone, schedules)


def day_of(scheduled: datetime, zone: str) -> str:
    """The day that a time is on in a zone.

    Raises:
        UserError: If there is no such zone.
    """
    return f"{scheduled.astimezone(_zone(zone)):%Y-%m-%d}"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UserError(f"zone = {name!r}: not a zone; names are such as Europe/London or UTC") from error


def _schedules() -> tuple[DeploymentSchedule, ...]:
    deployment_id, own_id = deployment.get_id(), flow_run.get_id()
    if deployment_id is None or own_id is None:
        return ()
    with get_client(sync_client=True) as client:
        found = client.read_deployment(UUID(deployment_id)).schedules
        made_by = client.read_flow_run(UUID(own_id)).created_by
    own = [each for each in found if made_by is not None and each.id == made_by.id]
    return tuple(own or [each for each in found if each.active] or found)


def zone_of(schedules: Sequence[DeploymentSchedule]) -> tuple[str, str]:
    """The zone of a deployment's schedules, and in words where it is from.

    Raises:
        UserError: If they are in several.
    """
    zones = sorted({_timezone(each) for each in schedules})
    if len(zones) > 1:
        raise UserError(
            f"the schedules of this deployment are in several zones, {', '.join(zones)}: give `zone` or `day`"
        )
    if not zones:
        return "UTC", "no schedule names a zone; `zone` does"
    return zones[0], "the zone of the schedule"


def _timezone(found: DeploymentSchedule) -> str:
    return getattr(found.schedule, "timezone", None) or "UTC"


def days_between(schedules: Sequence[DeploymentSchedule], first: str, last: str) -> list[str]:
    """Days of nights after ``first`` and before ``last`` that the schedules name."""
    days: set[str] = set()
    end = datetime.fromisoformat(last).replace(tzinfo=UTC) + timedelta(days=1)
    start = max(datetime.fromisoformat(first).replace(tzinfo=UTC), end - timedelta(days=MOST_DAYS))
    for found in schedules:
        zone = _zone(_timezone(found))
        days |= {f"{date.astimezone(zone):%Y-%m-%d}" for date in _dates(found.schedule, start, end)}
    return sorted(day for day in days if first < day < last)


def _dates(schedule: Any, start: datetime, end: datetime) -> list[datetime]:
    """The dates of a schedule, as Prefect's server computes them: its client has no such function."""
    from prefect.server.schemas import schedules

    kind = getattr(schedules, type(schedule).__name__, None)
    if kind is None:  # NoSchedule, and what later versions may bring
        return []
    made = kind.model_validate(schedule.model_dump())
    return asyncio.run(made.get_dates(start=start, end=end)) if end > start else []
