"""Settings of the engines.  They say where and how to hurry, never what the bytes are: no recipe key among them."""

from collections.abc import Sequence
from datetime import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline.base.errors import UserError
from pipeline.recipe.load import apply_override


class Settings(BaseModel):
    """Base: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RayOptions(Settings):
    """A Ray cluster."""

    model_config = ConfigDict(title="Ray")

    address: str = Field("auto", description="address of the cluster's head; auto: the one this machine belongs to")
    cpus_per_task: int = Field(1, ge=1, le=1024, description="processors that a shard reserves")
    memory_gb_per_cpu: float = Field(2.0, gt=0.0, description="memory that a shard reserves for each processor, GB")
    lost_seconds: int = Field(30, ge=5, description="without an answer of the head for so long, the cluster is lost")


class SlurmOptions(Settings):
    """A Slurm cluster; the run folder must stand on a file system that its nodes share."""

    model_config = ConfigDict(title="Slurm")

    partition: str = Field("cpu", min_length=1, description="partition of the jobs")
    time: str = Field("12:00:00", pattern=r"^(\d+-)?\d+(:\d\d){0,2}$", description="time limit of a job")
    cpus_per_task: int = Field(1, ge=1, le=1024, description="processors of a shard")
    memory_gb_per_cpu: int = Field(2, ge=1, description="memory for each processor, GB")
    qos: str = Field("normal", description="quality of service")
    venv: str = Field("", description="script that activates the environment on a node; empty: the one of this process")
    max_array_size: int = Field(1001, ge=1, description="largest job array of the cluster")
    shards_per_job: int = Field(
        0, ge=0, description="shards that one job works on, one after the other; 0: as many as take about a minute"
    )
    leader_seconds: float = Field(
        10.0, ge=0.0, description="what a step may take on this machine before its shards become jobs; 0: nothing"
    )
    poll_seconds: float = Field(15.0, gt=0.0, description="longest time between two looks at what is finished")
    sbatch: dict[str, str] = Field(default_factory=dict, description="further sbatch options, such as account")


class EngineOptions(Settings):
    """Where the shards are worked on.

    The two sections are None by default: a form shows their fields only to those who ask for them.
    """

    kind: Literal["local", "ray", "slurm"] = Field("local", description="this machine, a Ray or a Slurm cluster")
    ray: RayOptions | None = Field(None, description="settings of the Ray cluster; None: their defaults")
    slurm: SlurmOptions | None = Field(None, description="settings of the Slurm cluster; None: their defaults")

    @field_validator("slurm", mode="before")
    @classmethod
    def _time_is_text(cls, value: Any) -> Any:
        """``slurm.time=01:30:00`` is a time of day to TOML."""
        if isinstance(value, dict) and isinstance(value.get("time"), time):
            return {**value, "time": value["time"].isoformat()}
        return value

    @classmethod
    def of(cls, kind: str, overrides: Sequence[str]) -> "EngineOptions":
        """Options from a kind and ``KEY=VALUE`` strings such as ``slurm.partition=short``.

        Raises:
            UserError: With every problem.
        """
        data: dict[str, Any] = {"kind": kind}
        try:
            for override in overrides:
                apply_override(data, override)
            return cls.model_validate(data)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()]
            raise UserError("\n".join(["--engine-set:", *(f"  {line}" for line in lines)])) from error
        except ValueError as error:
            raise UserError(str(error).replace("--set", "--engine-set")) from error
