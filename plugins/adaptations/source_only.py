"""Source only: the control of an unlabelled target: the same further steps on the source's images, none on the target's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.plugins.two_domains import TwoDomains
from headwater.registry import Batch, Context, Objective, adaptation

if TYPE_CHECKING:
    from torch import Tensor


@adaptation(
    "source_only",
    control="from_scratch",
    source_labelled=True,
    target_labelled=False,
    needs_source=True,
    pooled=True,
)
def source_only(context: Context) -> Objective:
    """As many steps more on the source's labelled images, none on the target's; tested by the source's own head."""
    domains = TwoDomains(context, "source_only")
    backbone, data = context.backbone, domains.data

    def loss(batch: Batch, step: int) -> Tensor:
        source = next(data.batches)
        return data.loss(data.head(backbone(source.images)), source.targets)

    return Objective(domains.network, domains.groups(), loss=loss)
