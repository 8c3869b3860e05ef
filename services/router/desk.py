"""Owns what every door of the router leads to."""

from dataclasses import dataclass

from splitwiser.routing.intake import Intake
from splitwiser.routing.reception import Reception
from splitwiser.text.model_info import ModelInfo
from splitwiser.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Desk:
    """One served model, and who takes requests for it in."""

    model: ModelInfo
    tokenizer: Tokenizer
    intake: Intake
    reception: Reception
