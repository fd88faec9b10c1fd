"""Choose the device that a job runs on, and set it up."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Device:
    """A torch device with the settings that make it fast; on a CPU also the ones that make it
    reproducible.
    """

    name: str
    threads: int = 1

    @classmethod
    def pick(cls, threads: int) -> Device:
        """Return the GPU where there is one, else the CPU with so many threads."""
        return cls("cuda" if torch.cuda.is_available() else "cpu", threads)

    def apply_settings(self) -> None:
        """Apply process-wide settings. Results depend on the number of threads bit by bit, so it is
        fixed per cell.
        """
        torch.set_num_threads(self.threads)
        if self.name == "cpu":
            torch.use_deterministic_algorithms(True, warn_only=True)
            # Filling what an operation is about to overwrite changes no result; it only finds bugs in kernels.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        else:
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network to the device, weights channels-last.

        Convolutions are up to twice as fast in this layout, on CPUs too.
        """
        return network.to(self.name, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """Compute in bfloat16 where the device has it; in float32 on a CPU, whose bits are to be
        the same everywhere.
        """
        has_bfloat16 = self.name == "cuda" and torch.cuda.is_bf16_supported()
        with torch.autocast(self.name, dtype=torch.bfloat16, enabled=has_bfloat16):
            yield

    def peak_memory_mb(self) -> float:
        """Return the most memory in use since the last reset, in MiB: of the GPU, or of the whole
        process.
        """
        if self.name == "cuda":
            return torch.cuda.max_memory_allocated() / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def reset_peak_memory(self) -> None:
        """Start the GPU's peak anew; the process's cannot be reset."""
        if self.name == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def __str__(self) -> str:
        return torch.cuda.get_device_name() if self.name == "cuda" else f"cpu × {self.threads}"
