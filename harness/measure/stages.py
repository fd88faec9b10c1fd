"""Stages: registry.stages, under the name that the analyses use."""

from registry.stages import called, depths, stages

__all__ = ["called", "depths", "stages"]
