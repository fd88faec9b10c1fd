"""FCOS, a detector without anchor boxes: network, loss, and how detections are read from its
outputs.

Z. Tian, C. Shen, H. Chen and T. He, "FCOS: Fully Convolutional One-Stage Object Detection", ICCV
2019 (arXiv 1904.01355), with the improvements of "FCOS: A Simple and Strong Anchor-Free Object
Detector" (arXiv 2006.09214). Sections are those of the first paper.

A *location* is the centre of a cell of a level's map; a level of stride s has (S / s)² cells for
images of side S. At a location (x, y) the network predicts C class logits, the distances (l, t, r,
b) from the location to the sides of its box in units of the stride, and a centre-ness logit. The
location's box is

    (x − s l, y − s t, x + s r, y + s b)                                        (equation 1)

and its centre-ness, 1 in the middle of the box and 0 at its sides, should be

    sqrt( min(l, r) / max(l, r) · min(t, b) / max(t, b) )                       (equation 3)

In training a location is *positive* if it belongs to a box (``match_locations``). With n positive
locations in the batch, or n = 1 if there are none, the loss is

    ( focal(logits of all locations) + Σ GIoU(boxes) + Σ cross entropy(centre-ness) ) / n
                                                                                (equation 2)
where the sums are over the positive locations. Focal loss: Lin et al. 2017 (arXiv 1708.02002), α =
¼, γ = 2. GIoU loss: Rezatofighi et al. 2019 (arXiv 1902.09630), as in arXiv 2006.09214, in place of
the first paper's IoU loss.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import (
    FeaturePyramidNetwork,
    batched_nms,
    clip_boxes_to_image,
    generalized_box_iou_loss,
    sigmoid_focal_loss,
)

from headwater import Pyramid

WIDTH = 64
"""Channels of the pyramid and the towers. The paper has 256, on maps from stride 8 on; with a
quarter of that, CPUs can afford maps of stride 4, on which objects of ten pixels are found. A
multiple of ``GROUPS``.
"""
TOWER_DEPTH = 2
"""Convolutions in a tower. The paper has 4."""
GROUPS = 32
"""Groups of the group norm."""
LEVEL_REACH = (2.0, 4.0)
"""Range of the largest distance from a location to its box's sides, in strides of the location's
level. The paper's is 4 to 8 in images of 800 pixels; half of it spreads the boxes of smaller images
over all levels.
"""
CENTRE_RADIUS = 1.5
"""Largest distance from a positive location to its box's centre along either axis, in strides."""
FIRST_DISTANCE = 1.5
"""Distance to a box's sides that a fresh head predicts, in strides. With 0, half of the locations
would get no gradient through the ReLU.
"""
FIRST_PROBABILITY = 0.01
"""Probability of each class that a fresh head predicts everywhere (Lin et al. 2017, section 4.1).
"""
FIRST_WEIGHT_STD = 0.01
"""Standard deviation of the first weights of all convolutions."""
STRETCH_MARGIN = 0.5
"""Pixels between a location and the sides of a box that is stretched to it."""
MIN_SCORE = 0.05
"""Least score of a detection."""
MAX_OVERLAP = 0.6
"""Largest overlap (IoU) of a detection with a better one of its class."""
MAX_CANDIDATES = 300
"""Detections of a level that are considered, the best first."""
MAX_DETECTIONS = 100
"""Detections of an image, the best first."""


class LocationOutputs(NamedTuple):
    """What the network predicts for a batch, at the L locations of all levels.

    Attributes:
        logits: (B, L, C) class logits.
        distances: (B, L, 4) distances to the left, top, right and bottom side of the box, in
            strides.
        centreness: (B, L, 1) logits.
        cells: (L, 4) cells around the locations, x1, y1, x2, y2 in pixels.
        level_sizes: number of locations of each level.
        side: S, the side of the images in pixels.
    """

    logits: Tensor
    distances: Tensor
    centreness: Tensor
    cells: Tensor
    level_sizes: tuple[int, ...]
    side: int


class Detector(nn.Module):
    """Feature pyramid and FCOS head on a backbone's maps.

    Returns ``LocationOutputs`` in training, in evaluation the detections (B, 100, 6) of
    ``detections_of``.
    """

    def __init__(self, pyramid: Pyramid, classes: int) -> None:
        super().__init__()
        self.strides = pyramid.strides
        self.fpn = FeaturePyramidNetwork(list(pyramid.channels), WIDTH)
        self.head = DetectorHead(classes)

    def forward(self, maps: list[Tensor]) -> LocationOutputs | Tensor:
        side = maps[-1].shape[-1] * self.strides[-1]
        # torchvision's network wants names in the order of the levels, the finest first.
        named_maps = OrderedDict((str(level), values) for level, values in enumerate(maps))
        levels = self.fpn(named_maps)
        logits, distances, centreness = self.head(list(levels.values()))
        cells = cells_of(side, self.strides, logits.device)
        outputs = LocationOutputs(
            logits=logits.float(),
            distances=distances.float(),
            centreness=centreness.float(),
            cells=torch.cat(cells),
            level_sizes=tuple(len(level) for level in cells),
            side=side,
        )
        if self.training:
            return outputs
        return detections_of(outputs)


class DetectorHead(nn.Module):
    """The two towers, shared by all levels. Parameters have the names of torchvision's
    ``FCOSHead``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classification_head = ClassTower(classes)
        self.regression_head = BoxTower()

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, L, C), distances (B, L, 4) and centre-ness (B, L, 1)."""
        logits, distances, centreness = [], [], []
        for level in levels:
            logits.append(self.classification_head(level))
            level_distances, level_centreness = self.regression_head(level)
            distances.append(level_distances)
            centreness.append(level_centreness)
        return torch.cat(logits, dim=1), torch.cat(distances, dim=1), torch.cat(centreness, dim=1)


class ClassTower(nn.Module):
    """Class logits of each location of a level: (B, WIDTH, H, W) -> (B, H W, C)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv = _tower()
        _init_convolutions(self.conv)
        self.cls_logits = nn.Conv2d(WIDTH, classes, 3, padding=1)
        _init_convolutions(self.cls_logits)
        # Nearly all locations belong to no box: from a probability of ½ their loss would drown
        # that of the positive ones in the first steps.
        odds_against = (1 - FIRST_PROBABILITY) / FIRST_PROBABILITY
        nn.init.constant_(_bias(self.cls_logits), -math.log(odds_against))

    def forward(self, level: Tensor) -> Tensor:
        features = self.conv(level)
        logits = self.cls_logits(features)
        return _by_location(logits)


class BoxTower(nn.Module):
    """Distances (B, H W, 4) and centre-ness (B, H W, 1) of each location of a level."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = _tower()
        self.bbox_reg = nn.Conv2d(WIDTH, 4, 3, padding=1)
        self.bbox_ctrness = nn.Conv2d(WIDTH, 1, 3, padding=1)
        for module in (self.bbox_reg, self.bbox_ctrness, self.conv):
            _init_convolutions(module)
        nn.init.constant_(_bias(self.bbox_reg), FIRST_DISTANCE)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        features = self.conv(level)
        distances = self.bbox_reg(features).relu()
        # Centre-ness shares the boxes' tower (arXiv 2006.09214), not the classes'.
        centreness = self.bbox_ctrness(features)
        return _by_location(distances), _by_location(centreness)


def _tower() -> nn.Sequential:
    """Return convolutions (B, WIDTH, H, W) -> (B, WIDTH, H, W), each with its norm and ReLU."""
    layers: list[nn.Module] = []
    for _ in range(TOWER_DEPTH):
        convolution = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        layers += [convolution, nn.GroupNorm(GROUPS, WIDTH), nn.ReLU()]
    return nn.Sequential(*layers)


def _init_convolutions(module: nn.Module) -> None:
    """Draw the weights of a module's convolutions from a narrow normal distribution, biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=FIRST_WEIGHT_STD)
            nn.init.zeros_(_bias(layer))


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def _by_location(values: Tensor) -> Tensor:
    """Return maps (B, K, H, W) as rows of locations (B, H W, K)."""
    batch, channels = values.shape[:2]
    channels_last = values.permute(0, 2, 3, 1)
    return channels_last.reshape(batch, -1, channels)


def cells_of(side: int, strides: tuple[int, ...], device: torch.device) -> list[Tensor]:
    """Return the cell around each location, level by level.

    torchvision's AnchorGenerator has the locations in the cells' corners, so that mirroring would
    not map them to each other.

    Args:
        side: side of the images in pixels.
        strides: of the levels, in pixels, ascending.
        device: where the tensors are made.

    Returns:
        For each level (L_i, 4): x1, y1, x2, y2 in pixels, row by row.
    """
    levels = []
    for stride in strides:
        corner = torch.arange(0, side, stride, device=device, dtype=torch.float32)
        y, x = torch.meshgrid(corner, corner, indexing="ij")
        grid = torch.stack([x, y, x + stride, y + stride], dim=-1)
        levels.append(grid.flatten(0, 1))
    return levels


def fcos_loss(outputs: LocationOutputs, targets: Tensor) -> Tensor:
    """Return the loss of a batch: focal, GIoU and centre-ness, each divided by the number of
    positive locations.

    Args:
        outputs: what the network predicts.
        targets: (B, K, 5) encoded boxes: x1, y1, x2, y2 as shares of the side, and the class, -1
            for none.
    """
    boxes, labels = _location_targets(outputs, targets)
    positive = labels >= 0
    count = max(1, int(positive.sum()))

    # Classes are learned at all locations: a negative one is wanted to have none.
    wanted_classes = torch.zeros_like(outputs.logits)
    wanted_classes[positive, labels[positive]] = 1.0
    class_loss = sigmoid_focal_loss(outputs.logits, wanted_classes, reduction="sum")

    # Boxes and centre-ness are learned at positive locations: the others have no box.
    positive_boxes = boxes[positive]
    positive_cells = outputs.cells.expand(len(targets), -1, -1)[positive]
    predicted = decode(outputs.distances[positive], positive_cells)
    box_loss = generalized_box_iou_loss(predicted, positive_boxes, reduction="sum")

    wanted_centreness = centreness_of(encode(positive_boxes, positive_cells))
    centreness = outputs.centreness[..., 0][positive]
    centreness_loss = binary_cross_entropy_with_logits(
        centreness, wanted_centreness, reduction="sum"
    )
    parts = [class_loss / count, box_loss / count, centreness_loss / count]
    return torch.stack(parts).sum()


def _location_targets(outputs: LocationOutputs, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the box (B, L, 4), in pixels, and the class (B, L), -1 for none, that each location
    belongs to.
    """
    boxes = outputs.cells.new_zeros(len(targets), len(outputs.cells), 4)
    labels = boxes.new_full(boxes.shape[:2], -1, dtype=torch.int64)
    for image, target in enumerate(targets):
        truth = target[target[:, 4] >= 0]
        corners = stretched(truth[:, :4] * outputs.side, outputs.cells)
        matches = match_locations(outputs.cells, corners, outputs.level_sizes)
        positive = matches >= 0
        box_of_location = matches[positive]
        boxes[image, positive] = corners[box_of_location]
        labels[image, positive] = truth[box_of_location, 4].long()
    return boxes, labels


def encode(boxes: Tensor, cells: Tensor) -> Tensor:
    """Return the distances from locations to the sides of boxes, the inverse of ``decode``.

    Args:
        boxes: (..., 4) in pixels.
        cells: (..., 4) cells around the locations, in pixels.

    Returns:
        (..., 4) left, top, right and bottom, in strides.
    """
    x, y, stride = _centres(cells)
    left, top, right, bottom = boxes.unbind(-1)
    in_pixels = torch.stack([x - left, y - top, right - x, bottom - y], dim=-1)
    return in_pixels / stride[..., None]


def decode(distances: Tensor, cells: Tensor) -> Tensor:
    """Return the boxes whose sides are at some distances from locations: equation 1.

    Args:
        distances: (..., 4) left, top, right and bottom, in strides.
        cells: (..., 4) cells around the locations, in pixels.

    Returns:
        (..., 4) in pixels.
    """
    x, y, stride = _centres(cells)
    in_pixels = distances * stride[..., None]
    left, top, right, bottom = in_pixels.unbind(-1)
    return torch.stack([x - left, y - top, x + right, y + bottom], dim=-1)


def _centres(cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x and y (...) of the centres of cells (..., 4), and the strides (...), in pixels."""
    left, top, right, bottom = cells.unbind(-1)
    return 0.5 * (left + right), 0.5 * (top + bottom), right - left


def centreness_of(distances: Tensor) -> Tensor:
    """Return how central locations lie in their boxes, from 0 to 1: equation 3.

    Args:
        distances: (..., 4) to the left, top, right and bottom side.
    """
    horizontal = distances[..., [0, 2]]
    vertical = distances[..., [1, 3]]
    across = horizontal.amin(-1) / horizontal.amax(-1)
    down = vertical.amin(-1) / vertical.amax(-1)
    return torch.sqrt(across * down)


def match_locations(cells: Tensor, boxes: Tensor, level_sizes: tuple[int, ...]) -> Tensor:
    """Return the box that each location belongs to (section 3.2, with arXiv 2006.09214's centre
    sampling).

    A location belongs to a box if it lies in it, near its centre, and the farthest side is as far
    as its level is for; of several such boxes, to the smallest. A box without a location by that
    rule (small, or long and thin) gets the location of the finest level that is nearest to its
    centre.

    Args:
        cells: (L, 4) in pixels.
        boxes: (K, 4) in pixels.
        level_sizes: number of locations of each level.

    Returns:
        (L,) int64, -1 for no box.
    """
    if not len(boxes):
        return cells.new_full((len(cells),), -1, dtype=torch.int64)
    # Locations are rows and boxes columns: (L, K), and (L, K, 4) for the four sides.
    stride = (cells[:, 2] - cells[:, 0])[:, None]
    location = (cells[:, :2] + cells[:, 2:])[:, None] / 2
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    to_corner = location - boxes[:, :2]
    to_opposite_corner = boxes[:, 2:] - location
    sides = torch.cat([to_corner, to_opposite_corner], dim=2)
    nearest_side = sides.amin(2)
    farthest_side = sides.amax(2)
    from_centre = (location - centre).abs().amax(2)

    # The first level takes boxes of every size below its range, the last of every size above.
    finest = level_sizes[0]
    shortest_reach = LEVEL_REACH[0] * stride
    shortest_reach[:finest] = 0
    longest_reach = LEVEL_REACH[1] * stride
    longest_reach[-level_sizes[-1] :] = torch.inf
    is_inside = nearest_side > 0
    is_central = from_centre < CENTRE_RADIUS * stride
    is_of_level = (farthest_side > shortest_reach) & (farthest_side <= longest_reach)
    belongs = is_inside & is_central & is_of_level

    # Without a location, a box would never be learned.
    without_location = torch.where(~belongs.any(0))[0]
    nearest = from_centre[:finest, without_location].argmin(0)
    belongs[nearest, without_location] = True

    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    candidate_areas = areas.expand_as(belongs).where(belongs, torch.inf)
    smallest, index = candidate_areas.min(1)
    return index.where(smallest.isfinite(), -1)


def stretched(boxes: Tensor, cells: Tensor) -> Tensor:
    """Return the boxes (K, 4), in pixels, stretched to the nearest location of the finest level
    where they miss it.

    Only a location within a box can belong to it: the distances to its sides are not negative.
    """
    stride = cells[0, 2] - cells[0, 0]
    corner = boxes[:, :2]
    opposite_corner = boxes[:, 2:]
    centre = (corner + opposite_corner) / 2
    # The finest level's locations lie half a stride from multiples of it.
    nearest = ((centre / stride).floor() + 0.5) * stride
    stretched_corner = torch.minimum(corner, nearest - STRETCH_MARGIN)
    stretched_opposite = torch.maximum(opposite_corner, nearest + STRETCH_MARGIN)
    return torch.cat([stretched_corner, stretched_opposite], dim=1)


def detections_of(outputs: LocationOutputs) -> Tensor:
    """Return the detections of each image, (B, 100, 6): x1, y1, x2, y2 as shares of the side,
    score, class.

    Best first. Missing detections have score 0 and class -1; where an image's outputs are not
    numbers, its detections are NaN.
    """
    detections = outputs.logits.new_zeros(len(outputs.logits), MAX_DETECTIONS, 6)
    detections[..., 5] = -1
    for image in range(len(detections)):
        best = _image_detections(outputs, image)
        detections[image, : len(best)] = best
    # What is no number is below every score: such an image would read as one in which nothing is.
    predicted = (outputs.logits, outputs.distances, outputs.centreness)
    finite = [values.flatten(1).isfinite().all(1) for values in predicted]
    is_finite = torch.stack(finite).all(0)
    return detections.where(is_finite[:, None, None], torch.nan)


def _image_detections(outputs: LocationOutputs, image: int) -> Tensor:
    """Return the (n, 6) detections of one image: the candidates of all levels after non-maximum
    suppression by class.
    """
    sizes = list(outputs.level_sizes)
    levels = zip(
        outputs.logits[image].split(sizes),
        outputs.distances[image].split(sizes),
        outputs.centreness[image].split(sizes),
        outputs.cells.split(sizes),
        strict=True,
    )
    candidates = [_level_candidates(*level) for level in levels]
    boxes = torch.cat([of_level[0] for of_level in candidates])
    scores = torch.cat([of_level[1] for of_level in candidates])
    labels = torch.cat([of_level[2] for of_level in candidates])

    # Boxes are cut at the border before they are compared, as they will be seen.
    boxes = clip_boxes_to_image(boxes, (outputs.side, outputs.side))
    best = batched_nms(boxes, scores, labels, MAX_OVERLAP)[:MAX_DETECTIONS]
    shares = boxes[best] / outputs.side
    return torch.cat([shares, scores[best, None], labels[best, None]], dim=1)


def _level_candidates(
    logits: Tensor, distances: Tensor, centreness: Tensor, cells: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the best candidates of one level of an image, one for a location and a class.

    Args:
        logits: (L, C).
        distances: (L, 4) in strides.
        centreness: (L, 1) logits.
        cells: (L, 4) in pixels.

    Returns:
        Boxes (n, 4) in pixels, scores (n,) and classes (n,), the best first.
    """
    classes = logits.shape[-1]
    # The score is the geometric mean of the class's probability and the centre-ness (arXiv
    # 2006.09214): a box that is predicted far from its centre is seldom good.
    scores = torch.sqrt(logits.sigmoid() * centreness.sigmoid()).flatten()
    candidates = torch.where(scores > MIN_SCORE)[0]
    count = min(len(candidates), MAX_CANDIDATES)
    best_scores, order = scores[candidates].topk(count)
    best = candidates[order]
    # Flattened, the scores of a location's classes lie side by side.
    location = best.div(classes, rounding_mode="floor")
    boxes = decode(distances[location], cells[location])
    return boxes, best_scores, best % classes
