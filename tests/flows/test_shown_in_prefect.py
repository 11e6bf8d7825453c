"""What Prefect's pages show of a run: its name, one sentence of a failure, a form of what most people set."""

import contextlib
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from flows.server.failures import InOneSentence
from pipeline.base.errors import GateError, UserError

pytestmark = [
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NAMED = re.compile(r"recipe \d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def run_names(flow: Any, *arguments: Any, **named: Any) -> list[str]:
    """The names of the runs that a call of a flow makes, the latest first."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        before = {run.id for run in client.read_flow_runs()}
        with contextlib.suppress(UserError):
            flow(*arguments, **named)
        found = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC)
        return [run.name for run in found if run.id not in before]


@pytest.mark.usefixtures("prefect_server", "small_stages")
def test_run_is_named_after_its_recipe_and_its_time(recipe: Path, tmp_path: Path) -> None:
    from flows.end_to_end import end_to_end

    names = run_names(end_to_end, str(recipe), str(tmp_path / "run"), stages=["clean"], workers=1)
    assert len(names) == 2
    assert all(NAMED.fullmatch(name) for name in names), names


@pytest.mark.usefixtures("prefect_server", "small_stages")
def test_name_that_somebody_typed_stays_and_one_by_lot_goes(recipe: Path, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import Pending

    from flows.end_to_end import curate

    given = {"recipe": str(recipe), "root": str(tmp_path / "run"), "stages": ["clean"], "workers": 1}
    for typed, stays in (("Try 7 of Ann", True), ("nu4-argana-v", False), ("ebony-boobook", False)):
        with get_client(sync_client=True) as client:
            made = client.create_flow_run(curate, parameters=given, name=typed, state=Pending())
            run_flow(curate, flow_run=made, parameters=given)
            name = client.read_flow_run(made.id).name
            assert (name == typed) is stays, name


@pytest.fixture
def logger() -> logging.Logger:
    made = logging.Logger("prefect.flow_runs")
    made.addFilter(InOneSentence())
    return made


def told_by(logger: logging.Logger, *errors: BaseException, run: str = "a") -> list[str]:
    """What stands in the logs when Prefect tells of errors as it does."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    logger.addHandler(handler)
    for error in errors:
        try:
            raise error
        except type(error) as raised:
            logger.exception("Encountered exception during execution: %r", raised, extra={"flow_run_id": run})
    logger.removeHandler(handler)
    return lines


def test_failure_of_ours_is_its_sentence_without_a_trace(logger: logging.Logger) -> None:
    assert told_by(logger, GateError("5 of 6 records are damaged; fix the input")) == [
        "5 of 6 records are damaged; fix the input"
    ]


def test_unexpected_failure_begins_with_its_sentence_and_shows_our_frames(logger: logging.Logger) -> None:
    (line,) = told_by(logger, ZeroDivisionError("by nothing"))
    first, _, trace = line.partition("\n\n")
    assert first == "ZeroDivisionError: by nothing"
    assert "test_shown_in_prefect.py" in trace
    assert "site-packages" not in trace


def test_what_goes_wrong_beside_the_run_is_told_as_it_is(logger: logging.Logger) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logger.exception("An error was encountered while running a hook")
    logger.info("Task run failed with exception: OSError() - Retry 1/2 will start 5 second(s) from now")
    assert lines[0].startswith("An error was encountered while running a hook\nTraceback")
    assert lines[1].endswith("5 second(s) from now")


def test_failure_is_told_once_for_each_run(logger: logging.Logger) -> None:
    error = UserError("no such recipe")
    assert told_by(logger, error, error) == ["no such recipe"]
    assert told_by(logger, error, run="b") == ["no such recipe"]
    assert told_by(logger, UserError("no such recipe"), run="b") == ["no such recipe"], "another error"


@pytest.mark.usefixtures("prefect_server")
def test_logs_of_prefect_go_through_it() -> None:
    import flows.end_to_end  # noqa: F401

    for name in ("prefect.flow_runs", "prefect.task_runs"):
        assert sum(isinstance(found, InOneSentence) for found in logging.getLogger(name).filters) == 1


@pytest.mark.parametrize("name", ["end_to_end", "curate", "pretrain", "nightly"])
def test_form_shows_the_fields_of_an_engine_only_to_who_asks(name: str) -> None:
    from prefect.utilities.callables import parameter_schema

    from flows import end_to_end, nightly

    flow = next(getattr(module, name) for module in (end_to_end, nightly) if hasattr(module, name))
    schema = parameter_schema(flow.fn).model_dump()
    engine = schema["definitions"]["EngineOptions"]["properties"]
    assert list(engine) == ["kind", "ray", "slurm"]
    for section in ("ray", "slurm"):
        assert engine[section]["default"] is None
        assert {"type": "null"} in engine[section]["anyOf"]
    positions = {key: values["position"] for key, values in schema["properties"].items()}
    assert sorted(positions, key=lambda key: positions[key])[:2] in (["recipe", "root"], ["recipe", "runs"])


def test_engine_of_an_existing_deployment_is_still_understood() -> None:
    from pipeline.run.engines import EngineOptions

    before = {"kind": "slurm", "ray": {"address": "auto"}, "slurm": {"partition": "long", "time": "01:00:00"}}
    options = EngineOptions.model_validate(before)
    assert options.slurm is not None
    assert options.slurm.partition == "long"
    assert EngineOptions.model_validate({"kind": "ray"}).ray is None
