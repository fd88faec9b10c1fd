"""Source only: the control of an unlabelled target, with the same further steps on the source's
images and none on the target's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import Batch, Context, Objective, adaptation
from headwater.plugins.two_domains import TwoDomains

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
    """As many steps more on the source's labelled images, none on the target's; tested by the
    source's own head.

    Args:
        context: Source and target.

    Returns:
        The objective.

    Raises:
        NotApplicable: The source is no chain.
    """
    domains = TwoDomains(context, "source_only")
    data = domains.data

    def loss(batch: Batch, step: int) -> Tensor:
        source = next(data.batches)
        predicted = data.head(context.backbone(source.images))
        return data.loss(predicted, source.targets)

    return Objective(domains.network, domains.groups(), loss=loss)
