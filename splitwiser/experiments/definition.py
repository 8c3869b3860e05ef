"""Owns what an experiment may say: its sides, its plan and how often. Read from YAML by catalogue.py, strictly."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from splitwiser.config.schema import Settings

Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Counts = Annotated[tuple[Positive, ...], Field(min_length=1)]
Fault = Literal["kill-prefill", "kill-decode", "gpu-fault"]
Point = dict[str, float | str]
"""What one measurement varies: rate_per_s, batch, prompt_tokens, fault, ..."""


class Part(BaseModel):
    """A piece of a definition. Unknown fields are errors, not noise."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Limit(Part):
    """What a request must keep to be good."""

    ttft_ms: Rate
    tpot_ms: Rate

    def __str__(self) -> str:
        return f"TTFT {self.ttft_ms:g} ms, TPOT {self.tpot_ms:g} ms"


class Goal(Limit):
    """The pair of limits, and the share of requests within them, that goodput_ratio_vs_chunked is about."""

    share: Share


class ReplayPlan(Part):
    """Open-loop load at rising rates. A trace's gaps are scaled to each rate; without one, requests are generated."""

    kind: Literal["replay"]
    rates_per_s: Annotated[tuple[Rate, ...], Field(min_length=1)]
    window_s: Seconds
    """Arrivals of this long; the answers are then waited for."""
    trace: str = ""
    """CSV with TIMESTAMP, ContextTokens and GeneratedTokens. Empty: generated with a conversation's quantiles."""
    burstiness: Rate = 1.0
    """Of generated arrivals; 1 is a Poisson process."""
    length: Rate = 1.0
    """Factor on all token counts."""
    max_tokens: Natural = 0
    """Most tokens of prompt and output together, longer ones are cut; 0: the model's length."""
    limits: Annotated[tuple[Limit, ...], Field(min_length=1)]
    shares: tuple[Share, ...] = (0.9, 0.99)
    goal: Goal
    refine: Natural = 0
    """Rates of each round after the first, in each side's own bracket of the goal. 0: all rounds have all rates."""
    give_up_below: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """A side goes to no higher rate once less than this share is within every pair of limits."""

    def points(self) -> list[Point]:
        return [{"rate_per_s": rate} for rate in sorted(self.rates_per_s)]


class BurstPlan(Part):
    """Equal requests, `batch` of them in flight at any time, until `requests` have ended (0: one batch)."""

    kind: Literal["burst"]
    prompt_tokens: Counts
    output_tokens: Counts
    batch: Counts
    requests: Natural = 0

    def points(self) -> list[Point]:
        return [
            {"prompt_tokens": prompt, "output_tokens": output, "batch": batch}
            for prompt in self.prompt_tokens
            for output in self.output_tokens
            for batch in self.batch
        ]


class MixPlan(Part):
    """Steady decode streams, while `prompts_in_flight` long prompts are prefilled at any time."""

    kind: Literal["mix"]
    streams: Positive
    stream_prompt_tokens: Positive
    stream_output_tokens: Positive
    prompts_in_flight: Annotated[tuple[Natural, ...], Field(min_length=1)]
    prompt_tokens: Positive
    warmup_s: Seconds
    window_s: Seconds

    def points(self) -> list[Point]:
        return [{"prompts_in_flight": count} for count in sorted(self.prompts_in_flight)]


class HandoffPlan(Part):
    """Single requests on an idle stack: the time of the hand-off against the tokens that are handed over."""

    kind: Literal["handoff"]
    prompt_tokens: Counts
    output_tokens: Positive = 8
    requests: Positive

    def points(self) -> list[Point]:
        return [{"prompt_tokens": tokens} for tokens in self.prompt_tokens]


class RecoveryPlan(Part):
    """A worker is killed (or the GPU faults) under a light load: how long until requests are answered again."""

    kind: Literal["recovery"]
    faults: Annotated[tuple[Fault, ...], Field(min_length=1)]
    rate_per_s: Rate
    prompt_tokens: Positive
    output_tokens: Positive
    before_s: Seconds
    after_s: Seconds
    """How long to watch after the fault."""

    def points(self) -> list[Point]:
        return [{"fault": fault} for fault in self.faults]


Plan = Annotated[ReplayPlan | BurstPlan | MixPlan | HandoffPlan | RecoveryPlan, Field(discriminator="kind")]


class Side(Part):
    """One of the stacks that are compared."""

    stack: Literal["split", "unsplit"]
    """split: this project's. unsplit: whole engines of the same kind, one process each, without a router."""
    instances: Positive = 1
    """Unsplit engines; requests go to them in turn."""
    shared_weights: bool = False
    """Unsplit vLLMs whose weights lie in one store, once for all of them."""
    group: str = ""
    """Of what this side is one tuning: a name in goodput's rows. Empty: the side's own."""
    note: str = ""
    """What this side is, in a few words."""
    labels: dict[str, str] = {}
    """Where this side stands on a map, as x and y."""
    settings: dict[str, Any] = {}
    """On top of the experiment's."""

    @model_validator(mode="after")
    def _split_is_one(self) -> "Side":
        if self.stack == "split" and self.instances != 1:
            raise ValueError("only an unsplit side has instances; give prefill.workers in its settings instead")
        if self.stack == "split" and self.shared_weights:
            raise ValueError("the weights of a split side are always shared; leave shared_weights out")
        return self


class Definition(Part):
    """One experiment, with nothing left open."""

    name: str
    title: str
    question: str
    """What it shall answer."""
    model: str = ""
    """Shape of the random weights: a name of shapes.yaml, a folder or an id. Empty: what settings say."""
    settings: dict[str, Any] = {}
    """Of every side: as in a settings file."""
    sides: Annotated[dict[str, Side], Field(min_length=1)]
    reference: str
    """The side that the others are divided by, and that the A/A run measures."""
    start: Literal["together", "each"] = "together"
    """together: all sides are up from the beginning and are measured in turn. each: started for each of its turns."""
    warm_up: bool = False
    """A side that has just started gets its first point's load once for nothing, before it is measured."""
    repeats: Positive
    aa_pairs: Natural = 2
    """The reference measured against itself, before all else: the noise band. 0 where no side is compared with it."""
    aa_point: Natural = 0
    """Which point of the plan the A/A run takes, by its place."""
    seed: int = 0
    profile: bool = False
    """Also profile both phases on a GPU: by Nsight Compute, or by NVML where that is not there."""
    plan: Plan

    @model_validator(mode="after")
    def _whole(self) -> "Definition":
        if self.reference not in self.sides:
            raise ValueError(f"reference is {self.reference!r}, which is none of the sides {', '.join(self.sides)}")
        if self.aa_point >= len(self.plan.points()):
            raise ValueError(f"aa_point is {self.aa_point}, but the plan has {len(self.plan.points())} points")
        for name in self.sides:
            self.settings_of(name)
        return self

    def settings_of(self, side: str) -> Settings:
        """The settings of one side. Raises pydantic's ValidationError."""
        return Settings.model_validate(merged(self.settings, self.sides[side].settings))


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """above on top of below, name by name through all sections; a null takes a name away."""
    both = dict(below)
    for name, value in above.items():
        if value is None:
            both.pop(name, None)
        elif isinstance(value, dict) and isinstance(both.get(name), dict):
            both[name] = merged(both[name], value)
        else:
            both[name] = value
    return both
