"""The nouns, in pipeline order: what is recorded, what is judged, what is reported.

Recorded: `load`, `targets`, `checks`, `edges`, `contracts`. Decided beforehand: `policy`. Judged: `evidence` in,
`verdict` out. Reported: `result`. `runs` is the store's view.

Every value is frozen. Durations are seconds (`_s`), shares are 0..1 (`_ratio`), and instants inside a recording
are seconds since the common start of its arrival schedule.
"""

from rehearse.model.checks import CheckEvidence as CheckEvidence
from rehearse.model.checks import CheckOutcome as CheckOutcome
from rehearse.model.checks import CheckResult as CheckResult
from rehearse.model.checks import ChecksEnd as ChecksEnd
from rehearse.model.checks import Severity as Severity
from rehearse.model.contracts import Contract as Contract
from rehearse.model.contracts import PlaceFacts as PlaceFacts
from rehearse.model.contracts import Sample as Sample
from rehearse.model.contracts import Sampling as Sampling
from rehearse.model.contracts import ValueDifference as ValueDifference
from rehearse.model.edges import Assertion as Assertion
from rehearse.model.edges import EdgeFamily as EdgeFamily
from rehearse.model.edges import EdgeOutcome as EdgeOutcome
from rehearse.model.edges import EdgeRecord as EdgeRecord
from rehearse.model.edges import EdgeResult as EdgeResult
from rehearse.model.edges import Proof as Proof
from rehearse.model.edges import Step as Step
from rehearse.model.evidence import Evidence as Evidence
from rehearse.model.evidence import Reference as Reference
from rehearse.model.load import Arrivals as Arrivals
from rehearse.model.load import Block as Block
from rehearse.model.load import ErrorBin as ErrorBin
from rehearse.model.load import Incident as Incident
from rehearse.model.load import Mode as Mode
from rehearse.model.load import Phase as Phase
from rehearse.model.load import RequestOutcome as RequestOutcome
from rehearse.model.load import RigHealth as RigHealth
from rehearse.model.load import Scope as Scope
from rehearse.model.load import Series as Series
from rehearse.model.load import Side as Side
from rehearse.model.load import WorkerFinal as WorkerFinal
from rehearse.model.policy import CapacityProbe as CapacityProbe
from rehearse.model.policy import ContractRules as ContractRules
from rehearse.model.policy import DataRules as DataRules
from rehearse.model.policy import Metric as Metric
from rehearse.model.policy import NoiseAssumptions as NoiseAssumptions
from rehearse.model.policy import Objective as Objective
from rehearse.model.policy import Policy as Policy
from rehearse.model.policy import RigLimits as RigLimits
from rehearse.model.policy import ServerSeries as ServerSeries
from rehearse.model.policy import Waiver as Waiver
from rehearse.model.result import CapacityStep as CapacityStep
from rehearse.model.result import CheckReport as CheckReport
from rehearse.model.result import Curve as Curve
from rehearse.model.result import ErrorKind as ErrorKind
from rehearse.model.result import Result as Result
from rehearse.model.result import SeriesCurve as SeriesCurve
from rehearse.model.result import SideSummary as SideSummary
from rehearse.model.result import SignOff as SignOff
from rehearse.model.result import StageStanding as StageStanding
from rehearse.model.result import TimelinePoint as TimelinePoint
from rehearse.model.runs import IDENTITY_KEY as IDENTITY_KEY
from rehearse.model.runs import OTHER_RIG_KEY as OTHER_RIG_KEY
from rehearse.model.runs import STAGE_KEY as STAGE_KEY
from rehearse.model.runs import STAGES_KEY as STAGES_KEY
from rehearse.model.runs import Exhibit as Exhibit
from rehearse.model.runs import RunKind as RunKind
from rehearse.model.runs import RunRecord as RunRecord
from rehearse.model.runs import RunState as RunState
from rehearse.model.targets import DataState as DataState
from rehearse.model.targets import Moment as Moment
from rehearse.model.targets import SeriesWindow as SeriesWindow
from rehearse.model.targets import TargetFacts as TargetFacts
from rehearse.model.verdict import Cell as Cell
from rehearse.model.verdict import ContractChange as ContractChange
from rehearse.model.verdict import Decision as Decision
from rehearse.model.verdict import Finding as Finding
from rehearse.model.verdict import Judgement as Judgement
from rehearse.model.verdict import Outcome as Outcome
from rehearse.model.verdict import ReasonCode as ReasonCode
from rehearse.model.verdict import Role as Role
from rehearse.model.verdict import Verdict as Verdict
from rehearse.model.verdict import Weight as Weight
