"""Owns a model's parameters in the stack's one copy of the weights: the first worker fills it, every one maps it.

It has two segments if a part of it is kept on the host: in this machine's memory, read from there in every step.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from splitwiser.engine.memory import HOST, Memory
from splitwiser.engine.vllm.door import StoreDoor
from splitwiser.engine.vllm.placement import ON_HOST, WEIGHTS, Entries, place, view
from splitwiser.errors import StartupError
from splitwiser.memory.segment import Made, Segment

Contents = dict[str, torch.Tensor]
"""By segment: its bytes."""
Fill = Callable[[torch.Tensor], None]


@dataclass(frozen=True, slots=True)
class SharedParameters:
    """identity: what the segments hold, for whoever maps them. host_bytes: least that is kept on the host."""

    door: StoreDoor
    memory: Memory
    identity: str
    host_bytes: int = 0

    def give(self, model: torch.nn.Module, load: Callable[[], None]) -> None:
        """Point a model's parameters at the stack's weights; load fills them there if the stack has none.

        Raises StartupError when the stack's weights are of something else.
        """
        # A tied one comes under each of its names.
        parameters = dict(model.named_parameters(remove_duplicate=False))
        segment = self.door.weights(WEIGHTS, lambda: _Making(self, parameters, load).made())
        entries = self._entries(segment)
        for name in parameters:
            if name not in entries:
                raise StartupError(f"the store's weights lack {name}", help="restart the stack")
        contents = {WEIGHTS: self.memory.tensor(segment)}
        if any(entry["segment"] == ON_HOST for entry in entries.values()):
            contents[ON_HOST] = self.memory.read_in_place(self._on_host(segment))
        _point(parameters, entries, contents)

    def _entries(self, segment: Segment) -> Entries:
        manifest = json.loads(segment.manifest)
        if manifest["identity"] != self.identity:
            raise StartupError(
                f"the store holds the weights of {manifest['identity']}, this worker is to run {self.identity}",
                help="run all workers with the same settings and versions, or restart the stack",
            )
        entries: Entries = manifest["entries"]
        return entries

    def _on_host(self, weights: Segment) -> Segment:
        """Published before the rest, so it is there."""
        segment = self.door.weights(ON_HOST, _must_be_there, self.memory.in_place_mapper)
        if segment.manifest != weights.manifest:
            raise StartupError("the two parts of the store's weights do not belong together", help="restart the stack")
        return segment


@dataclass(slots=True)
class _Making:
    """The weights while they are made. A GPU never holds what is kept on the host."""

    shared: SharedParameters
    parameters: Mapping[str, torch.nn.Parameter]
    load: Callable[[], None]

    def made(self) -> Made:
        """All but what is on the host, which is published already."""
        entries, sizes = place(self.parameters, self.shared.host_bytes)
        manifest = json.dumps({"identity": self.shared.identity, "entries": entries}).encode()
        failures: list[Exception] = []

        def fill(content: torch.Tensor) -> None:
            if not sizes[ON_HOST]:
                self._load_into(entries, {WEIGHTS: content})
                return
            fill_both = _quiet(lambda host: self._load_into(entries, {WEIGHTS: content, ON_HOST: host}), failures)
            made = HOST.make(ON_HOST, sizes[ON_HOST], manifest, fill_both)
            if failures:
                os.close(made.data_fd)
            else:
                self._publish(made)

        made = self.shared.memory.make(WEIGHTS, sizes[WEIGHTS], manifest, _quiet(fill, failures))
        if failures:
            os.close(made.data_fd)
            raise failures[0]
        return made

    def _load_into(self, entries: Entries, contents: Contents) -> None:
        try:
            _point(self.parameters, entries, contents)
            self.load()
            _check_in_place(self.parameters, entries, contents)
        finally:
            for parameter in self.parameters.values():
                parameter.data = parameter.data.new_empty(0)

    def _publish(self, made: Made) -> None:
        """Unless an earlier maker came this far and no further: what it left is the same, and published for good."""
        unpublished = [made]
        self.shared.door.weights(ON_HOST, unpublished.pop, self.shared.memory.in_place_mapper).close()
        for left in unpublished:
            os.close(left.data_fd)


def _quiet(fill: Fill, failures: list[Exception]) -> Fill:
    """fill, whose error goes to failures: its traceback would keep the memory that fill may not keep."""

    def quiet(content: torch.Tensor) -> None:
        try:
            fill(content)
        except Exception as error:
            failures.append(error.with_traceback(None))

    return quiet


def _point(parameters: Mapping[str, torch.nn.Parameter], entries: Entries, contents: Contents) -> None:
    for name, parameter in parameters.items():
        parameter.data = view(contents, entries[name])


def _check_in_place(parameters: Mapping[str, torch.nn.Parameter], entries: Entries, contents: Contents) -> None:
    """A loader may give a parameter memory of its own instead of writing into the one it has."""
    for name, parameter in parameters.items():
        own = view(contents, entries[name])
        if parameter.data_ptr() != own.data_ptr():
            own.copy_(parameter.data)


def _must_be_there() -> Made:
    raise StartupError("the store lacks the part of the weights that is kept on the host", help="restart the stack")
