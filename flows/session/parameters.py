"""Types of the flows' parameters: what the form in Prefect's page checks before a run starts.

Each is annotated with its bounds.  The descriptions in the form come from the flows' docstrings, the only place where
Prefect 3.8.8 looks for them: so flows with the same parameters repeat their descriptions.
"""

from typing import Annotated, Any

from pydantic import Field

from pipeline.base.sizes import SIZE_PATTERN
from pipeline.recipe.minhash import LIMITS
from pipeline.recipe.stage_names import CURATION, STAGES, CurationStage, StageName
from pipeline.run.engines.options import EngineOptions

Location = Annotated[str, Field(min_length=1, max_length=4096)]
Override = Annotated[str, Field(pattern=r"^[^=\s]+\s*=")]
Overrides = Annotated[list[Override], Field(max_length=1000)]
Stages = Annotated[list[StageName], Field(max_length=len(STAGES))]
CurationStages = Annotated[list[CurationStage], Field(max_length=len(CURATION))]
WorkerCount = Annotated[int, Field(ge=0, le=100_000)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Bands = Annotated[int, Field(ge=1, le=LIMITS.bands)]
Rows = Annotated[int, Field(ge=1, le=LIMITS.rows)]
Copies = Annotated[int, Field(ge=1, le=1_000_000)]
Patterns = Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(max_length=1000)]
Places = Annotated[list[Location], Field(max_length=1000)]
Ngram = Annotated[int, Field(ge=1, le=LIMITS.ngram)]
Seed = Annotated[int, Field(ge=0, lt=LIMITS.seeds)]
FieldName = Annotated[str, Field(min_length=1, max_length=256)]
Vary = Annotated[list[Annotated[str, Field(pattern=r"^[^=\s]+\s*=\s*\[")]], Field(min_length=1, max_length=10)]
SeedCount = Annotated[int, Field(ge=2, le=100)]
MemorySize = Annotated[str, Field(pattern=SIZE_PATTERN)]
Engine = Annotated[EngineOptions, Field(title="engine")]

LOCAL = EngineOptions()
NONE: list[Any] = []  # never written to: a default that the form shows as an empty list
