"""What a bundle says of itself: the content of ``bundle.json``."""

from msgspec import field

from diptych.core.damage import Damage
from diptych.core.specs import InputSpec, Value
from diptych.core.values import (
    Candidate,
    CurvePoint,
    DataRecord,
    FileRecord,
    GivenUp,
    Goal,
    ModelSummary,
    Outcome,
    Program,
    Relaxation,
    TrainingSummary,
    Verdict,
    task_name,
)

FORMAT_VERSION = 2


class Machine(Value):
    """The machine that measured: everything a number depends on."""

    cpu: str
    cores: int
    memory_bytes: int
    flags: tuple[str, ...]
    system: str
    python: str
    versions: dict[str, str]


class Provenance(Value):
    """How the bundle came to be: enough to make it again."""

    data: DataRecord
    seed: int
    recipe: dict[str, object]
    created: str
    interrupted: bool = False
    calibration_sha256: str | None = None


class Manifest(Value):
    """The content of ``bundle.json``."""

    format_version: int
    name: str
    goal: Goal
    labels: tuple[str, ...]
    input: InputSpec
    programs: tuple[Program, ...]
    files: tuple[FileRecord, ...]
    budget: str
    verdict: Outcome
    terms: tuple[Verdict, ...]
    candidates: tuple[Candidate, ...]
    relaxations: tuple[Relaxation, ...]
    teacher: ModelSummary
    model: ModelSummary
    training: TrainingSummary
    breakeven_predictions: float | None
    curves: tuple[CurvePoint, ...]
    machine: Machine
    provenance: Provenance
    architecture: dict[str, object] = field(default_factory=dict)
    assets: tuple[str, ...] = ()
    damage: Damage | None = None
    given_up: tuple[GivenUp, ...] = ()
    untrained: tuple[str, ...] = ()
    nearest: tuple[str, ...] = ()
    noise_floor: float | None = None

    @property
    def is_cascade(self) -> bool:
        """Whether two networks answer, of which the bundle holds the weights of the small one."""
        return any(one.chosen and one.passed_on is not None for one in self.candidates)

    @property
    def task(self) -> str:
        """Kind of input and goal, such as ``image-classification``."""
        return task_name(self.input, self.goal)

    @property
    def score_name(self) -> str:
        """The name of the main score, such as ``accuracy``."""
        return next(iter(self.model.scores))
