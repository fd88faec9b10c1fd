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

TIMEOUT = 300
"""Seconds that the second process may take; a large network takes its time to load."""

_PROGRAM = """
import sys
import headwater
from headwater.harness.conformance.elsewhere import print_digest
print_digest(sys.stdin.buffer.read())
"""


def digest_elsewhere(card: SourceModel | Task, registry: Registry) -> str:
    """Return the digest of what a fresh process makes of the card.

    Raises:
        BadPlugin: It makes nothing: the process fails.
    """
    from ray import cloudpickle

    request = cloudpickle.dumps((card.name, isinstance(card, SourceModel), registry.plugins))
    command = [sys.executable, "-P", "-W", "ignore", "-c", _PROGRAM]
    done = subprocess.run(command, input=request, capture_output=True, timeout=TIMEOUT, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise BadPlugin(
            f"another process cannot use it: {reason}",
            subject=card.name,
            hint="A plugin may not depend on what ran before it.",
        )
    return str(json.loads(done.stdout.splitlines()[-1]))


def print_digest(request: bytes) -> None:
    """Discover the plugins, make the card and print its digest: the work of the second process."""
    from ray import cloudpickle

    name, is_source, plugins = cloudpickle.loads(request)
    registry = Registry.discover(plugins)
    if is_source:
        digest = _source_digest(registry.source(name))
    else:
        digest = _task_digest(registry.task(name))
    print(json.dumps(digest))


def _source_digest(card: SourceModel) -> str:
    from headwater.harness.measure.backbone import build

    return weights_digest(build(card, card.input_size, seed=0))


def weights_digest(network: nn.Module) -> str:
    """Return a digest of every tensor of a network, by name."""
    import torch

    whole = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        values = tensor.detach().cpu().contiguous().reshape(-1)
        whole.update(name.encode())
        whole.update(values.view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def _task_digest(card: Task) -> str:
    from headwater.harness.data.splits import splits_of

    return task_digest(*splits_of(card))


def task_digest(splits: Mapping[str, Split], classes: Sequence[str]) -> str:
    """Return a digest of every image and target of a task, in order."""
    from headwater.harness.conformance.contents import image_digest, target_digest

    whole = hashlib.blake2b(digest_size=16)
    for name, split in sorted(splits.items()):
        whole.update(repr((name, tuple(classes), len(split.images))).encode())
        for row in range(len(split.images)):
            whole.update(image_digest(split.images[row]) + target_digest(split.targets[row]))
    return whole.hexdigest()
