"""Devices: where a job runs, and what that device does best."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Device:
    """A torch device with the settings that make it fast; on a CPU also the ones that make it reproducible."""

    name: str
    threads: int = 1

    @classmethod
    def pick(cls, threads: int) -> Device:
        return cls("cuda" if torch.cuda.is_available() else "cpu", threads)

    def apply_settings(self) -> None:
        """Apply process-wide settings. Bits depend on the number of threads, so it is fixed per cell."""
        torch.set_num_threads(self.threads)
        if self.name == "cpu":
            torch.use_deterministic_algorithms(True, warn_only=True)
            # Filling what an operation is about to overwrite changes no result; it only finds bugs in kernels.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        else:
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")

    def place(self, network: nn.Module) -> nn.Module:
        """On the device, weights channels-last: convolutions are up to twice as fast so, on CPUs too."""
        return network.to(self.name, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """bfloat16 where the device has it; float32 on a CPU, whose bits are to be the same everywhere."""
        with torch.autocast(
            self.name,
            dtype=torch.bfloat16,
            enabled=self.name == "cuda" and torch.cuda.is_bf16_supported(),
        ):
            yield

    def peak_memory_mb(self) -> float:
        if self.name == "cuda":
            return torch.cuda.max_memory_allocated() / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def reset_peak_memory(self) -> None:
        if self.name == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def __str__(self) -> str:
        return torch.cuda.get_device_name() if self.name == "cuda" else f"cpu × {self.threads}"
