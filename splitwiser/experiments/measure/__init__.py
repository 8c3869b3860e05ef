"""What can be measured: one module a kind. A kind is code, what it is given is data."""

from splitwiser.experiments.definition import BurstPlan, HandoffPlan, MixPlan, Plan, RecoveryPlan, ReplayPlan
from splitwiser.experiments.measure.base import Measure
from splitwiser.experiments.measure.burst import Burst
from splitwiser.experiments.measure.handoff import Handoff
from splitwiser.experiments.measure.mix import Mix
from splitwiser.experiments.measure.recovery import Recovery
from splitwiser.experiments.measure.replay import Replay


def measure_of(plan: Plan) -> Measure:
    """The measurement that a plan is for."""
    match plan:
        case ReplayPlan():
            return Replay(plan)
        case BurstPlan():
            return Burst(plan)
        case MixPlan():
            return Mix(plan)
        case HandoffPlan():
            return Handoff(plan)
        case RecoveryPlan():
            return Recovery(plan)
