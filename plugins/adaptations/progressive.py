"""Progressive networks: sources stay as they are beside a new column, which takes in what they make
of each image.

Rusu et al., Progressive Neural Networks, 2016 (arXiv 1606.04671): h_i^(k) = f(W_i h_{i−1}^(k) +
Σ_{j<k} U_i^{(k:j)} h_{i−1}^{(j)}). Here i counts stages. What comes from a source's column joins
the new one where its stage i begins, inside f; the head takes part too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater import Context, NotApplicable, Objective, ParameterGroup, adaptation, split_list

if TYPE_CHECKING:
    from torch import nn


@adaptation(
    "progressive",
    control="from_scratch",
    approach="network",
    extra_sources_option="columns",
    pooled=True,
)
def progressive(context: Context, *, columns: str = "", head_scale: float = 1.0) -> Objective:
    """A new column of random weights, with lateral adapters from the frozen source's stages to its
    own.

    Args:
        context: Source and target.
        columns: Further sources, joined by ``+``, each a frozen column beside that of the cell's
            source. They must have as many stages, and maps as large; they may be as wide as they
            like.
        head_scale: Learning rate of the head, as a multiple.

    Returns:
        The objective.

    Raises:
        NotApplicable: The source names no random initialisation, or the columns do not meet.
    """
    from headwater.plugins.adaptations._columns import Progressive

    source = context.source
    scratch = source.name if source.random else source.scratch
    if not scratch or context.load_source is None:
        raise NotApplicable(
            f"{source.name} names no random initialisation of its architecture (scratch=…)",
            subject=source.name,
        )
    names = [source.name, *split_list(columns, "+")]
    frozen = [context.backbone, *(context.load_source(name) for name in names[1:])]
    network = Progressive(
        dict(zip(names, frozen, strict=True)),
        context.load_source(scratch),
        context.head,
        context.image_size,
    )
    context.to_device(network)
    groups: list[tuple[nn.Module, float]] = [
        (network.column, 1.0),
        (network.laterals, 1.0),
        (network.head, head_scale),
    ]
    return Objective(
        network,
        [ParameterGroup(list(part.parameters()), scale) for part, scale in groups],
        frozen=[network.columns],
    )
