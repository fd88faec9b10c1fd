"""The detector: torchvision's feature pyramid and FCOS on a backbone's maps."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxLinearCoder
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.ops import FeaturePyramidNetwork

from headwater.registry import Pyramid

WIDTH = 64
"""Channels of pyramid and towers: 256 in the paper, on maps from stride 8 on. With a quarter of it maps of stride 4 can be
afforded on CPUs, and objects of ten pixels are found. Group norm asks for a multiple of 32."""
CONVOLUTIONS = 2
"""Of a tower: 4 in the paper."""
REACH, RADIUS = (2.0, 4.0), 1.5
"""In strides: how far the sides of a level's boxes are from the location, and how near the box's centre is. The paper's reach is 4 to 8,
in images of 800 pixels; half of it spreads the boxes of smaller ones over all levels."""
START = 1.5
"""Distance to a box's sides, in strides, that a fresh head says: torchvision's 0 gives half of the locations no gradient (ReLU)."""
MARGIN = 0.5
"""Pixels between a location and the sides of a box that is stretched to it."""
SCORE, OVERLAP, CANDIDATES, MOST = 0.05, 0.6, 300, 100
"""Of detections: least score, most overlap (IoU) with a better one of the class, most of a level, most of an image."""


class Found(NamedTuple):
    """What the head says in training at the L locations of all levels: logits (B, L, C), distances (B, L, 4) in strides, centre-ness
    (B, L, 1); ``anchors`` (L, 4): the locations' cells, x1, y1, x2, y2 in pixels; ``levels``: locations of each level; ``side``: S."""

    logits: Tensor
    distances: Tensor
    centreness: Tensor
    anchors: Tensor
    levels: tuple[int, ...]
    side: int


class Detector(FCOS):
    """Maps of a pyramid -> ``Found`` in training, else detections (B, MOST, 6): x1, y1, x2, y2 as shares of the side, score, class.

    FCOS (Tian, Shen, Chen & He, ICCV 2019, arXiv 1904.01355, with the improvements of arXiv 2006.09214): every location of every level
    says the classes' scores, how far the sides of its box are, and how central it lies in it. Missing detections have score 0, class -1;
    where an image's outputs are not numbers, its detections are NaN.
    """

    def __init__(self, pyramid: Pyramid, classes: int) -> None:
        nn.Module.__init__(self)  # FCOS's own would build what prepares raw photographs
        self.strides = pyramid.strides
        self.fpn = FeaturePyramidNetwork(list(pyramid.channels), WIDTH)
        self.head = FCOSHead(WIDTH, 1, classes, CONVOLUTIONS)
        nn.init.constant_(self.head.regression_head.bbox_reg.bias, START)
        self.box_coder = self.head.box_coder
        self.score_thresh, self.nms_thresh, self.topk_candidates, self.detections_per_img = (
            SCORE,
            OVERLAP,
            CANDIDATES,
            MOST,
        )

    def forward(self, maps: list[Tensor]) -> Found | Tensor:
        side = maps[-1].shape[-1] * self.strides[-1]
        said = self.head(
            list(
                self.fpn(
                    OrderedDict((str(level), found) for level, found in enumerate(maps))
                ).values()
            )
        )
        logits, distances, centreness = (
            said[name].float() for name in ("cls_logits", "bbox_regression", "bbox_ctrness")
        )
        anchors = anchors_of(side, self.strides, logits.device)
        found = Found(
            logits,
            distances,
            centreness,
            torch.cat(anchors),
            tuple(len(level) for level in anchors),
            side,
        )
        return found if self.training else self._detections(found)

    def _detections(self, found: Found) -> Tensor:
        count, levels = len(found.logits), list(found.levels)
        said = {
            "cls_logits": found.logits,
            "bbox_regression": found.distances,
            "bbox_ctrness": found.centreness,
        }
        split = {name: list(value.split(levels, dim=1)) for name, value in said.items()}
        kept = self.postprocess_detections(
            split, [list(found.anchors.split(levels))] * count, [(found.side, found.side)] * count
        )
        detections = found.logits.new_zeros(count, MOST, 6)
        detections[..., 5] = -1
        for row, one in enumerate(kept):
            best = torch.cat(
                [one["boxes"] / found.side, one["scores"][:, None], one["labels"][:, None]], dim=1
            )
            detections[row, : len(best)] = best
        # What is no number is below every score, and an image of it would read as one in which nothing is.
        numbers = torch.stack([value.flatten(1).isfinite().all(1) for value in said.values()]).all(
            0
        )
        return detections.where(numbers[:, None, None], torch.nan)


def anchors_of(side: int, strides: tuple[int, ...], device: torch.device) -> list[Tensor]:
    """The cell of each location, level by level, (L_i, 4) in pixels, row by row; the location is its centre.

    torchvision's AnchorGenerator has the locations in the cells' corners, so that mirroring would not map them to each other.
    """
    levels = []
    for stride in strides:
        corner = torch.arange(0, side, stride, device=device, dtype=torch.float32)
        y, x = torch.meshgrid(corner, corner, indexing="ij")
        levels.append(torch.stack([x, y, x + stride, y + stride], dim=-1).flatten(0, 1))
    return levels


def loss_of(found: Found, targets: Tensor) -> Tensor:
    """FCOS's loss on (B, K, 5) encoded boxes: focal, GIoU and the centre-ness' cross entropy, each a mean over the batch's positive
    locations; where there are none (no boxes), the focal loss's sum."""
    given = [target[target[:, 4] >= 0] for target in targets]
    wanted = [
        {"boxes": stretched(one[:, :4] * found.side, found.anchors), "labels": one[:, 4].long()}
        for one in given
    ]
    matches = [matched(found.anchors, one["boxes"], found.levels) for one in wanted]
    said = {
        "cls_logits": found.logits,
        "bbox_regression": found.distances,
        "bbox_ctrness": found.centreness,
    }
    coder = SimpleNamespace(
        box_coder=BoxLinearCoder(normalize_by_size=True)
    )  # all that compute_loss wants of its head
    losses = FCOSHead.compute_loss(coder, wanted, said, [found.anchors] * len(wanted), matches)
    return torch.stack(list(losses.values())).sum()


def matched(anchors: Tensor, boxes: Tensor, levels: tuple[int, ...]) -> Tensor:
    """(L,) int: the box that a location is for, -1 for none.

    FCOS's rule: the location lies in the box, near its centre, and the farthest side is as far as its level is for; of several boxes the
    smallest. A box that no location is for by that rule (small, or long and thin) gets the finest one nearest to its centre.
    """
    if not len(boxes):
        return anchors.new_full((len(anchors),), -1, dtype=torch.int64)
    stride = (anchors[:, 2] - anchors[:, 0])[:, None]
    location, centre = (
        (anchors[:, :2] + anchors[:, 2:])[:, None] / 2,
        (boxes[:, :2] + boxes[:, 2:]) / 2,
    )
    sides = torch.cat([location - boxes[:, :2], boxes[:, 2:] - location], dim=2)
    away, reach = (location - centre).abs().amax(2), sides.amax(2)
    least, most = REACH[0] * stride, REACH[1] * stride
    least[: levels[0]], most[-levels[-1] :] = 0, torch.inf
    takes = (sides.amin(2) > 0) & (away < RADIUS * stride) & (reach > least) & (reach <= most)
    lost = torch.where(~takes.any(0))[0]
    takes[away[: levels[0], lost].argmin(0), lost] = True
    areas = ((boxes[:, 2:] - boxes[:, :2]).prod(1)).expand_as(takes).where(takes, torch.inf)
    smallest, index = areas.min(1)
    return index.where(smallest.isfinite(), -1)


def stretched(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Boxes that miss every location of the finest level are stretched to the nearest one, since only a location within can be for them."""
    stride = anchors[0, 2] - anchors[0, 0]
    nearest = (((boxes[:, :2] + boxes[:, 2:]) / 2 / stride).floor() + 0.5) * stride
    return torch.cat(
        [
            torch.minimum(boxes[:, :2], nearest - MARGIN),
            torch.maximum(boxes[:, 2:], nearest + MARGIN),
        ],
        dim=1,
    )
