"""The keypoints type: points in pixels in, shares of the image and errors out; what moves an image moves its points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from headwater.plugins.task_types import _heatmaps as heatmaps
from headwater.plugins.task_types.keypoints import keypoints
from headwater.registry import Task
from headwater.registry.errors import DataError, TrainingError
from tests.facts import flaw_facts, missing_facts
from tests.plugins.given import given

METHODS = keypoints.methods
TASK = Task(name="rendered/test", load=dict, type="keypoints")
GOOD = [[16.0, 12.0], [32.0, 24.0], [64.0, 48.0]]
"""Of an image of 64 × 48."""


def encoded(*targets, classes=(), **conventions):
    return METHODS.encode(given(keypoints, targets, classes, **conventions))


# -- points in ---------------------------------------------------------------------------------------------


def test_points_become_shares_of_the_image_with_its_aspect():
    found = encoded(GOOD, np.array(GOOD))
    assert found.targets.shape == (2, 3, 5) and found.targets.dtype == np.float32
    assert found.rows is None and found.flaws == ()
    expected = [[0.25, 0.25, 1, 4 / 3, -1], [0.5, 0.5, 1, 4 / 3, -1], [1, 1, 1, 4 / 3, -1]]
    np.testing.assert_allclose(found.targets, [expected, expected], rtol=1e-6)


@pytest.mark.parametrize(
    "hidden", [[5.0, 5.0, 0], [math.nan, math.nan], [None, None], None, [math.nan, 5.0, 2]]
)
def test_a_point_that_is_not_labelled_is_no_flaw(hidden):
    found = encoded([GOOD[0], hidden, GOOD[2]])
    assert found.flaws == ()
    assert found.targets[0, :, 2].tolist() == [1, 0, 1]
    assert found.targets[0, 1, :2].tolist() == [0, 0]


def test_coco_writes_points_in_one_list_and_counts_labelled_ones_though_they_are_covered():
    found = encoded([16, 12, 2, 32, 24, 1, 0, 0, 0], [16.0, 12.0, 32.0, 24.0, 64.0, 48.0])
    assert found.flaws == ()
    assert found.targets[:, :, 2].tolist() == [[1, 1, 0], [1, 1, 1]]
    np.testing.assert_allclose(found.targets[1, :, :2], encoded(GOOD).targets[0, :, :2])


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (None, "has no points"),
        (math.nan, "has no points"),
        (GOOD[:2], "wrong-number-of-points 2 3"),
        ([[1.0, 1.0, 0]] * 3, "has no visible point"),
        ([[math.nan, math.nan]] * 3, "has no visible point"),
    ],
)
def test_an_image_without_its_points_is_left_out_and_reported(bad, what):
    found = encoded(GOOD, bad, GOOD)
    assert found.rows.tolist() == [0, 2] and len(found.targets) == 2
    assert [flaw_facts(flaw) for flaw in found.flaws] == [("b.jpg", what, "left out")]


def test_points_off_the_image_are_taken_as_not_visible_and_reported():
    found = encoded(
        [[-0.1, 5.0], [10.0, 48.5], [3.0, 3.0]],
        [[65.0, 5.0], [1.0, 1.0], [3.0, 3.0]],
        classes=("eye", "nose", "chin"),
    )
    assert found.targets[:, :, 2].tolist() == [[0, 0, 1], [0, 1, 1]]
    assert found.rows is None
    assert [flaw_facts(flaw) for flaw in found.flaws] == [
        ("a.jpg", "point-off-the-image 2 (eye, nose)", "taken as not visible"),
        ("b.jpg", "point-off-the-image 1 (eye)", "taken as not visible"),
    ]


def test_a_pair_of_zeros_is_no_point_in_the_corner():
    """Many data sets write so what is not labelled; a third column that says otherwise is believed."""
    found = encoded(
        [[0, 0], *GOOD[1:]], [0.0, 0.0, *GOOD[1], *GOOD[2]], [[0, 0, 1], *GOOD[1:]], [[0, 0]] * 3
    )
    assert found.targets[:, :, 2].tolist() == [[0, 1, 1], [0, 1, 1], [1, 1, 1]]
    assert [flaw_facts(flaw) for flaw in found.flaws] == [
        ("a.jpg", "point-in-the-corner 1 (0)", "taken as not visible"),
        ("b.jpg", "point-in-the-corner 1 (0)", "taken as not visible"),
        ("d.jpg", "point-in-the-corner 3 (0, 1, 2)", "taken as not visible"),
        ("d.jpg", "has no visible point", "left out"),
    ]


SHARES = [[0.25, 0.25], [0.5, 0.5], [1.0, 1.0]]


def test_points_are_in_pixels_or_in_shares_as_the_task_says():
    np.testing.assert_allclose(
        encoded(SHARES, points="shares").targets, encoded(GOOD, points="pixels").targets
    )
    with pytest.raises(DataError, match="points=percent is not known") as raised:
        encoded(GOOD, points="percent")
    assert raised.value.hint == "points is pixels or shares."


@pytest.mark.parametrize(
    ("points", "said", "problem", "hint"),
    [
        (
            SHARES,
            "pixels",
            "reach 1 at most, .*pixels",
            "points=shares",
        ),
        (
            GOOD,
            "shares",
            "reach 32 or more, .*shares",
            "points=pixels",
        ),
    ],
)
def test_points_of_another_unit_than_the_task_says_are_an_error(points, said, problem, hint):
    """Read as pixels all shares would lie in one corner."""
    hidden = [[0, 0, 0], [None, None], None]
    with pytest.raises(
        DataError, match=f"^rendered/test: (half of )?its 6 points {problem}$"
    ) as raised:
        encoded(points, hidden, points, points=said)
    assert hint in raised.value.hint
    assert len(encoded(SHARES, [*SHARES[:2], [5.0, 2.0]]).targets) == 2, "some points may lie there"


def test_an_image_whose_points_are_all_off_it_is_left_out():
    found = encoded(GOOD, [[99.0, 99.0]] * 3)
    assert found.rows.tolist() == [0]
    assert [flaw_facts(flaw)[1] for flaw in found.flaws] == [
        "point-off-the-image 3 (0, 1, 2)",
        "has no visible point",
    ]


@pytest.mark.parametrize(
    "bad", ["here", 5, {"x": 1}, [[1.0]], [["a", "b"]], [1.0, 2.0, 3.0, 4.0, 5.0], [[[1.0, 2.0]]]]
)
def test_what_is_no_points_is_an_error_naming_the_image(bad):
    with pytest.raises(DataError, match=r"^b\.jpg has .*, which are no points") as raised:
        encoded(GOOD, bad)
    assert raised.value.subject == "b.jpg"


def test_as_many_points_are_wanted_as_most_images_have():
    assert METHODS.classes([GOOD, GOOD[:2], GOOD, None], TASK) == ("0", "1", "2")
    assert METHODS.classes([None], TASK) == ()
    assert encoded(GOOD[:2], GOOD, classes=("0", "1", "2")).rows.tolist() == [1]
    assert METHODS.outputs(encoded(GOOD).targets, ()) == 3
    with pytest.raises(DataError, match="no points"):
        METHODS.outputs(encoded(None).targets, ())


def test_what_points_become_in_a_mirror_is_kept_with_them():
    assert encoded(GOOD, mirrored="1+0+2").targets[0, :, 4].tolist() == [1, 0, 2]
    assert encoded([[5.0, 5.0]], mirrored=0).targets[0, :, 4].tolist() == [0]


@pytest.mark.parametrize(
    ("mirrored", "facts"),
    [
        ("1+0", ("each of 3 points once",)),
        ("1+1+2", ("each of 3 points once",)),
        ("1+0+3", ("each of 3 points once",)),
        ("left+right", ("'left+right'", "no numbers")),
        ("1+2+0", ("does not swap points", "point 0 becomes 1", "becomes 2")),
    ],
)
def test_a_mirror_that_does_not_swap_points_is_an_error(mirrored, facts):
    with pytest.raises(DataError) as raised:
        encoded(GOOD, mirrored=mirrored)
    assert missing_facts(raised.value.message, "rendered/test", "mirrored", *facts) == []


# -- augmentation ------------------------------------------------------------------------------------------

SIDE = 64


def dots(places, visible=None, partner=None):
    """An image of soft dots, one channel a point, and its encoded target."""
    places = np.asarray(places, np.float32)
    at = (np.arange(SIDE) + 0.5) / SIDE
    image = np.zeros((3, SIDE, SIDE), np.float32)
    for channel, (x, y) in enumerate(places):
        image[channel] = np.exp(
            -(((at[:, None] - y) ** 2 + (at - x) ** 2) * SIDE**2) / (2 * 2.0**2)
        )
    count = len(places)
    columns = [places, visible or [1] * count, [1.0] * count, partner or [-1] * count]
    return torch.from_numpy(image), torch.from_numpy(np.column_stack(columns).astype(np.float32))


def moved(image, target, mirror, seed):
    from headwater.harness.measure.augmentation import PairedTransform

    together = PairedTransform(METHODS, METHODS.augmentation(mirror))
    images, targets = together(image[None], target[None], torch.Generator().manual_seed(seed))
    return images[0], targets[0]


def peak(channel):
    """The centre of a dot, as shares."""
    at = (torch.arange(SIDE) + 0.5) / SIDE
    mass = channel / channel.sum()
    return torch.stack([(mass.sum(0) * at).sum(), (mass.sum(1) * at).sum()])


@pytest.mark.parametrize("seed", range(6))
def test_points_stay_on_their_pixels_when_an_image_is_moved(seed):
    image, target = dots([(0.5, 0.4), (0.6, 0.55), (0.4, 0.6)])
    after, points = moved(image, target, True, seed)
    assert not torch.allclose(points[:, :2], target[:, :2], atol=0.01)
    for channel in range(3):
        torch.testing.assert_close(
            points[channel, :2], peak(after[channel]), atol=0.1 / SIDE, rtol=0
        )
    assert torch.equal(points[:, 2:], target[:, 2:])


def test_in_a_mirror_points_become_their_partners():
    image, target = dots([(0.3, 0.4), (0.7, 0.45), (0.5, 0.6)], partner=[1, 0, 2])
    target[1, 2] = 0  # the right one is not visible: in the mirror it is the left one that is not
    results = [moved(image, target, True, seed) for seed in range(12)]
    mirrored = [(after, points) for after, points in results if points[0, 2] == 0]
    assert 2 <= len(mirrored) <= 10
    for after, points in mirrored:
        assert points[:, 2].tolist() == [0, 1, 1]
        assert points[1, 0] > points[2, 0]  # what was left is right now, and is called right
        torch.testing.assert_close(points[1, :2], peak(after[0]), atol=0.1 / SIDE, rtol=0)
        torch.testing.assert_close(points[2, :2], peak(after[2]), atol=0.1 / SIDE, rtol=0)
    for _, points in (moved(image, target, False, seed) for seed in range(12)):
        assert points[:, 2].tolist() == [1, 0, 1]


def test_without_partners_nothing_is_mirrored():
    image, target = dots([(0.3, 0.4), (0.7, 0.45)])
    for seed in range(12):
        assert moved(image, target, True, seed)[1][0, 0] < moved(image, target, True, seed)[1][1, 0]


def test_points_that_leave_the_image_are_not_visible():
    image, target = dots([(0.01, 0.01), (0.99, 0.99), (0.5, 0.5)])
    seen = torch.stack([moved(image, target, False, seed)[1] for seed in range(12)])
    assert 0 < seen[:, 0, 2].sum() < 12 and 0 < seen[:, 1, 2].sum() < 12
    assert seen[:, 2, 2].all()
    assert ((seen[..., :2] >= 0) & (seen[..., :2] <= 1)).all()


# -- heat maps ---------------------------------------------------------------------------------------------


def test_a_points_place_is_the_mean_of_its_map():
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = heatmaps.decoded_points(maps)
    for image in range(2):
        for point in range(3):
            shares = np.exp(maps[image, point].double().numpy())
            shares /= shares.sum()
            x = sum(
                shares[row, column] * (column + 0.5) / 8 for row in range(8) for column in range(8)
            )
            y = sum(
                shares[row, column] * (row + 0.5) / 8 for row in range(8) for column in range(8)
            )
            row, column = int(y * 8), int(x * 8)
            near = shares[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3].sum()
            np.testing.assert_allclose(found[image, point].numpy(), [x, y, near], atol=1e-5)


def test_places_fall_between_cells_and_sure_maps_are_confident():
    places = torch.tensor([[[0.4, 0.6], [0.512, 0.33]]])
    wanted = heatmaps.gaussians(places, torch.zeros(1, 2, 16, 16))
    found = heatmaps.decoded_points(wanted.log())
    torch.testing.assert_close(found[..., :2], places, atol=1e-3, rtol=0)
    assert (found[..., 2] > 0.95).all()
    assert heatmaps.decoded_points(torch.zeros(1, 1, 16, 16))[0, 0, 2] == pytest.approx(25 / 256)


def test_the_loss_is_its_definition_on_visible_points():
    maps = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(2))
    target[..., 2] = torch.tensor([[1, 0, 1], [0, 1, 0]])
    total = []
    for image, point in ((0, 0), (0, 2), (1, 1)):
        share = np.exp(maps[image, point].numpy())
        share /= share.sum()
        at, (x, y) = (np.arange(6) + 0.5) / 6, target[image, point, :2].double().numpy()
        wanted = np.exp(-0.5 * (((at - x) * 6) ** 2 + (((at - y) * 6) ** 2)[:, None]))
        wanted /= wanted.sum()
        middle = (share + wanted) / 2
        spread = (
            0.5 * (share * np.log(share / middle)).sum()
            + 0.5 * (wanted * np.log(wanted / middle)).sum()
        )
        distance = np.hypot((share.sum(0) * at).sum() - x, (share.sum(1) * at).sum() - y)
        total.append(2 * distance + spread)
    assert float(METHODS.loss(maps, target)) == pytest.approx(np.mean(total), rel=1e-5)


def test_a_batch_without_a_visible_point_has_no_loss_and_no_gradient():
    maps = torch.randn(2, 3, 8, 8, requires_grad=True)
    loss = METHODS.loss(maps, torch.zeros(2, 3, 5))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(maps.grad, torch.zeros_like(maps))


def test_chance_is_the_loss_of_maps_that_say_nothing():
    target = torch.ones(4000, 1, 5)
    target[..., :2] = torch.rand(4000, 1, 2, generator=torch.Generator().manual_seed(0))
    guessed = float(METHODS.loss(torch.zeros(4000, 1, 24, 24), target))
    assert guessed == pytest.approx(METHODS.chance(1), rel=0.08)
    assert guessed < METHODS.chance(1)  # the divergence is log 2 at most


# -- metrics -----------------------------------------------------------------------------------------------


def split(seed=0, images=12, points=5):
    """Targets with some points hidden in images of unlike aspects, and predictions close to them."""
    random = np.random.default_rng(seed)
    targets = np.zeros((images, points, 5), np.float32)
    targets[..., :2], targets[..., 2] = (
        random.random((images, points, 2)),
        random.random((images, points)) < 0.7,
    )
    targets[:, 0, 2] = 1
    targets[..., 3], targets[..., 4] = random.choice([0.5, 1.0, 1.6], images)[:, None], -1
    predictions = np.concatenate(
        [
            targets[..., :2] + random.normal(0, 0.06, (images, points, 2)),
            random.random((images, points, 1)),
        ],
        2,
    )
    return torch.from_numpy(predictions.astype(np.float32)), torch.from_numpy(targets)


def errors_of(prediction, target):
    """Of one image's visible points, in an image 100 pixels high."""
    size = np.array([100 * target[0, 3], 100.0])
    seen = target[:, 2] > 0
    true = target[seen, :2] * size
    box = (true.max(0) - true.min(0)).max()
    normaliser = box if box >= 0.05 * size.max() else size.max()
    return np.linalg.norm(prediction[seen, :2] * size - true, axis=1) / normaliser


def test_metrics_are_their_definitions():
    predictions, targets = split()
    measured = METHODS.measure(predictions, targets)
    errors = [
        errors_of(*pair)
        for pair in zip(predictions.double().numpy(), targets.double().numpy(), strict=True)
    ]
    assert {len(one) for one in errors} >= {3, 4}
    allowed = (np.arange(2000) + 0.5) / 2000 * 0.1
    assert measured["nme"] == pytest.approx(np.mean([one.mean() for one in errors]), rel=1e-6)
    assert measured["pck"] == pytest.approx(np.mean([(one <= 0.1).mean() for one in errors]))
    assert measured["auc"] == pytest.approx(
        np.mean([(one[:, None] <= allowed).mean() for one in errors]), abs=1e-3
    )


def test_sums_of_the_tally_are_what_is_measured():
    predictions, targets = split(3)
    tally = METHODS.tally(predictions, targets)
    assert tally.shape == (12, 4) and tally.dtype == torch.float64
    rows = [0, 0, 5, 7]
    assert METHODS.tallied(tally[rows].sum(0)) == pytest.approx(
        METHODS.measure(predictions[rows], targets[rows])
    )


def test_errors_are_those_in_the_image_as_it_is_stored():
    target = torch.tensor(
        [[[0.0, 0.0, 1, 4.0, -1], [0.25, 1.0, 1, 4.0, -1]]]
    )  # a box of 100 × 100 in 400 × 100
    prediction = torch.tensor([[[0.05, 0.0, 1], [0.25, 1.0, 1]]])  # 20 pixels off
    assert METHODS.measure(prediction, target)["nme"] == pytest.approx(0.2 / 2)


def test_a_lone_point_is_measured_against_the_images_larger_side():
    target = torch.tensor([[[0.5, 0.5, 1, 2.0, -1]]])
    measured = METHODS.measure(torch.tensor([[[0.5, 0.6, 1]]]), target)  # a tenth of the height
    assert measured["nme"] == pytest.approx(0.05)


def test_no_metric_is_ever_nan():
    predictions, targets = split()
    targets[..., 2] = 0
    assert METHODS.measure(predictions, targets) == {"nme": 0.0, "pck": 0.0, "auc": 0.0}
    perfect = METHODS.measure(split()[1][..., :3], split()[1])
    assert perfect == pytest.approx({"nme": 0.0, "pck": 1.0, "auc": 1.0})


def test_values_of_each_point_that_is_visible_somewhere():
    predictions, targets = split()
    targets[:, 4, 2] = 0
    by_class = METHODS.by_class(predictions, targets, ("a", "b", "c", "d", "e"))
    assert by_class["nme"].keys() == by_class["pck"].keys() == {"a", "b", "c", "d"}
    expected = []
    for prediction, target in zip(
        predictions.double().numpy(), targets.double().numpy(), strict=True
    ):
        if target[1, 2]:
            expected.append(errors_of(prediction, target)[int(target[:1, 2].sum())])
    assert by_class["nme"]["b"] == pytest.approx(np.mean(expected), rel=1e-6)


def test_the_card_declares_what_is_measured():
    measured = METHODS.measure(*split())
    assert list(measured) == [metric.name for metric in keypoints.metrics]
    assert not keypoints.metric("").higher_is_better
    assert all(metric.low <= measured[metric.name] <= metric.high for metric in keypoints.metrics)
    with pytest.raises(TrainingError, match="not numbers"):
        METHODS.measure(split()[0] * math.nan, split()[1])


# -- heads, probes, pictures -------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
def test_a_rendered_point_is_found_on_any_pyramid(architecture):
    """Which of two dots is red and which is blue, after a few steps."""
    import timm

    from headwater.harness.measure.backbone import Backbone, width_of

    torch.manual_seed(0)
    size = {"img_size": SIDE} if architecture == "test_vit" else {}
    backbone = Backbone(timm.create_model(architecture, num_classes=0, **size), dense=True)
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5  # its statistics keep up with so few steps
    network = torch.nn.Sequential(backbone, METHODS.head(width_of(backbone, SIDE), 2))
    random = np.random.default_rng(0)
    images, targets = (
        torch.stack(values)
        for values in zip(
            *(dots(random.uniform(0.15, 0.85, (2, 2))) for _ in range(12)), strict=True
        )
    )
    assert network(images).shape == (12, 2, 16, 16)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(10):
        optimiser.zero_grad()
        METHODS.loss(network(images), targets).backward()
        optimiser.step()
    with torch.no_grad():
        found = network.eval()(images)
    assert found.shape == (12, 2, 3)
    middle = METHODS.measure(targets[..., :3].mean(0, keepdim=True).expand(12, 2, 3), targets)[
        "nme"
    ]
    assert METHODS.measure(found, targets)["nme"] < 0.4 * middle


def test_estimators_are_asked_for_the_coordinates_of_images_that_show_all_points():
    targets = split()[1].numpy()
    targets[:, :, 2] = 1
    targets[3, 2, 2] = 0
    probe = METHODS.probe(targets)
    assert probe.places is None and keypoints.probed_as == "numbers"
    assert probe.image.tolist() == [0, 1, 2, *range(4, 12)]
    np.testing.assert_array_equal(probe.labels[3], targets[4, :, :2].ravel())
    assert METHODS.probe(targets * 0).labels.shape == (0, 10)


def test_an_answer_is_in_pixels_of_the_image_given():
    np.testing.assert_allclose(
        METHODS.answer(np.array([[0.5, 0.25, 0.9]], np.float32), ("eye",), (200, 100)),
        [[100, 25, 0.9]],
    )


def test_a_picture_shows_visible_points_and_those_predicted():
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    target = np.array(
        [[0.25, 0.5, 1, 1, -1], [0.75, 0.5, 0, 1, -1], [0.5, 0.9, 1, 1, -1]], np.float32
    )
    prediction = np.array([[0.25, 0.5, 1], [0.75, 0.25, 1], [0.5, 0.9, 1]], np.float32)
    (_, truth), (title, predicted) = METHODS.picture(image, target, prediction, ())
    assert title == "prediction, nme 0.000"
    assert truth.shape == predicted.shape == (256, 256, 3)
    assert truth[128, 64].tolist() == [60, 220, 90] and not truth[128, 192].any()
    assert predicted[64, 192].tolist() == [255, 90, 60] and not image.any()
    assert not METHODS.picture(image, target * [1, 1, 0, 1, 1], prediction, ())[0][1].any()
