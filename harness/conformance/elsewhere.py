"""A second process: what is built or loaded there must be what is built or loaded here."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from headwater.registry import Registry, SourceModel, Split, Task
from headwater.registry.errors import BadPlugin

if TYPE_CHECKING:
    from torch import nn

PATIENCE = 300
"""Seconds; a large network takes its time to load."""

_PROGRAM = "import headwater, sys; from headwater.harness.conformance.elsewhere import answer; answer(sys.stdin.buffer.read())"


def answer_elsewhere(card: SourceModel | Task, registry: Registry) -> str:
    """The digest of what a fresh process makes of the card; raises BadPlugin where it makes nothing."""
    from ray import cloudpickle

    request = cloudpickle.dumps((card.name, isinstance(card, SourceModel), registry.plugins))
    command = [sys.executable, "-P", "-W", "ignore", "-c", _PROGRAM]
    done = subprocess.run(
        command, input=request, capture_output=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise BadPlugin(
            f"another process cannot use it: {reason}",
            subject=card.name,
            hint="A plugin may not depend on what ran before it.",
        )
    return str(json.loads(done.stdout.splitlines()[-1]))


def answer(request: bytes) -> None:
    """What the second process does: discover, make, print the digest."""
    from ray import cloudpickle

    name, is_source, plugins = cloudpickle.loads(request)
    registry = Registry.discover(plugins)
    print(
        json.dumps(
            _source_digest(registry.source(name))
            if is_source
            else _task_digest(registry.task(name))
        )
    )


def _source_digest(card: SourceModel) -> str:
    from headwater.harness.measure.backbone import build

    return weights_digest(build(card, card.input_size, seed=0))


def weights_digest(network: nn.Module) -> str:
    """Of every tensor of a network, by name."""
    whole = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        whole.update(name.encode())
        whole.update(tensor.detach().cpu().contiguous().reshape(-1).view(_byte()).numpy().tobytes())
    return whole.hexdigest()


def _byte() -> object:
    import torch

    return torch.uint8


def _task_digest(card: Task) -> str:
    from headwater.harness.data.splits import splits_of

    return task_digest(*splits_of(card))


def task_digest(splits: Mapping[str, Split], classes: Sequence[str]) -> str:
    """Of every image and target of a task, in order."""
    from headwater.harness.conformance.contents import content, meaning

    whole = hashlib.blake2b(digest_size=16)
    for name, split in sorted(splits.items()):
        whole.update(repr((name, tuple(classes), len(split.images))).encode())
        for row in range(len(split.images)):
            whole.update(content(split.images[row]) + meaning(split.targets[row]))
    return whole.hexdigest()
