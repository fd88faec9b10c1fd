"""The segmentation type: masks in with their flaws, the class of each pixel out."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from headwater.harness.measure.augmentation import PairedTransform
from headwater.harness.measure.backbone import Backbone, width_of
from headwater.plugins.task_types.segmentation import PROBED_PIXELS, VOID, segmentation
from headwater.registry import Flaw, Pyramid
from headwater.registry.errors import DataError, TrainingError
from tests.facts import missing_facts
from tests.plugins.given import given

METHODS = segmentation.methods
CLASSES = ("road", "sky", "car")
SIZE = (64, 48)


def mask(**changes) -> np.ndarray:
    """(48, 64) uint8: sky above, road below, and a car on it."""
    found = np.zeros((48, 64), np.uint8)
    found[:24] = 1
    found[30:40, 20:36] = 2
    return found


def encode(*targets, classes=CLASSES, side=32, **conventions):
    return METHODS.encode(
        given(segmentation, targets, classes, side=side, shape=SIZE, **conventions)
    )


def squares(count: int, side: int = 64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of a bright square on a dark ground, and their masks."""
    random = np.random.default_rng(seed)
    images, masks = (
        torch.full((count, 3, side, side), -0.5),
        torch.zeros(count, side, side, dtype=torch.uint8),
    )
    for row in range(count):
        size = 3 * side // 8
        top, left = random.integers(side // 8, side - size - side // 8, 2)
        images[row, :, top : top + size, left : left + size] = 1.0
        masks[row, top : top + size, left : left + size] = 1
    return images, masks


def network(name: str = "test_resnet", outputs: int = 3, side: int = 64) -> torch.nn.Sequential:
    torch.manual_seed(0)
    made = timm.create_model(name, num_classes=0, **({"img_size": side} if "vit" in name else {}))
    backbone = Backbone(made, dense=True)
    return torch.nn.Sequential(backbone, METHODS.head(width_of(backbone, side), outputs))


# -- targets --------------------------------------------------------------------------------------------------


def test_a_mask_is_squeezed_into_the_square_and_keeps_its_values():
    found = encode(mask(), side=32)
    expected = np.array(
        [
            [mask()[int((y + 0.5) * 48 / 32), int((x + 0.5) * 64 / 32)] for x in range(32)]
            for y in range(32)
        ]
    )
    assert found.targets.dtype == np.uint8
    assert found.rows is None and found.flaws == ()
    assert (found.targets[0] == expected).all()


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def palette() -> Image.Image:
    image = Image.fromarray(mask())
    image.putpalette([7, 7, 7, 200, 0, 0, 0, 200, 0])
    return image


@pytest.mark.parametrize(
    "form",
    [
        lambda folder: mask().astype(np.int64),
        lambda folder: mask().tolist(),
        lambda folder: mask()[:, :, None],
        lambda folder: Image.fromarray(mask()),
        lambda folder: palette(),
        lambda folder: png(palette()),
        lambda folder: {"bytes": png(Image.fromarray(mask())), "path": None},
        lambda folder: {"bytes": None, "path": str(folder / "mask.png")},
        lambda folder: folder / "mask.png",
        lambda folder: str(folder / "mask.npy"),
    ],
)
def test_masks_come_in_many_forms(form, tmp_path):
    (tmp_path / "mask.png").write_bytes(png(Image.fromarray(mask())))
    np.save(tmp_path / "mask.npy", mask())
    assert (encode(form(tmp_path)).targets == encode(mask()).targets).all()


def test_a_bilevel_mask_has_the_classes_0_and_1():
    target = Image.fromarray(mask() == 2)
    assert target.mode == "1"
    assert (encode(target).targets == (encode(mask()).targets == 2)).all()


@pytest.mark.parametrize("void", [11, 0, -1, 300])
def test_void_is_255_and_what_the_task_says(void):
    target = mask().astype(np.int32)
    target[:4], target[4:8] = void, 255
    found = encode(target, side=48, void=void)
    assert found.flaws == ()
    assert (found.targets[0][:8] == VOID).all()
    assert (found.targets[0][8:24] == 1).all()


def test_a_mask_of_another_size_than_its_image_is_left_out_and_so_is_its_image():
    found = encode(mask(), mask()[:40], mask())
    assert found.rows.tolist() == [0, 2]
    assert found.targets.shape == (2, 32, 32)
    assert found.flaws == (Flaw("b.jpg", "has a mask of 64×40, the image is 64×48", "left out"),)


def test_an_image_without_a_mask_is_left_out():
    found = encode(None, mask(), {"bytes": None, "path": None})
    assert found.rows.tolist() == [1]
    assert found.flaws == (
        Flaw("a.jpg", "has no mask", "left out"),
        Flaw("c.jpg", "has no mask", "left out"),
    )


def test_a_mask_of_nothing_but_void_is_left_out():
    found = encode(np.full((48, 64), 11), mask(), void=11)
    assert found.rows.tolist() == [1]
    assert found.flaws == (Flaw("a.jpg", "has a mask of nothing but void", "left out"),)


def test_values_that_are_no_class_become_void():
    target = mask().astype(np.int32)
    target[0, :3], target[47, 0] = 7, -2
    found = encode(mask(), target, side=64)
    assert found.rows is None
    assert found.flaws == (
        Flaw("b.jpg", "has 4 pixels of no known class (-2, 7): known are 0 to 2", "taken as void"),
    )
    assert (found.targets[1][0, :3] == VOID).all()
    assert (found.targets[1] == VOID).sum() == 4


@pytest.mark.parametrize(
    ("target", "facts"),
    [
        (
            np.zeros((48, 64, 3), np.uint8),
            ("a.jpg", "48×64×3", "(H, W)"),
        ),
        (
            Image.new("RGB", SIZE),
            ("a.jpg", "48×64×3", "(H, W)"),
        ),
        (np.zeros((48, 64)), ("a.jpg", "type float64")),
        (b"no image", ("a.jpg", "cannot be read", "cannot identify image file")),
        (
            "nowhere.png",
            ("a.jpg", "cannot be read", "[Errno 2]", "'nowhere.png'"),
        ),
        (object(), ("a.jpg", "type object", "(H, W)")),
    ],
)
def test_what_is_no_mask_is_an_error_naming_the_image(target, facts):
    with pytest.raises(DataError) as raised:
        encode(target)
    assert missing_facts(raised.value.message, "mask", *facts) == []
    assert raised.value.hint


def test_a_void_that_is_no_whole_number_is_an_error():
    with pytest.raises(DataError, match="void is 'sky', a whole number"):
        encode(mask(), void="sky")


def test_classes_are_numbered_up_to_the_largest_that_is_not_void():
    task = given(segmentation, [], void=11).task
    target = np.array([[0, 3], [11, 255]])
    assert METHODS.classes([target, None, np.full((2, 2), 11), np.array([[5]])], task) == (
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
    )
    assert METHODS.classes([target], task) == ("0", "1", "2", "3")
    assert METHODS.classes([], task) == ()
    with pytest.raises(DataError, match=r"class 26001, .* 254"):
        METHODS.classes([np.array([[26001]])], task)


def test_numbers_most_of_which_no_mask_has_are_no_classes():
    task = given(segmentation, []).task
    for shades, says in (
        ([0, 254], "only 0, 254 of the numbers 0 to 254"),
        ([3, 9, 255], "only 3, 9 of the numbers 0 to 9"),
    ):
        with pytest.raises(DataError, match=says) as raised:
            METHODS.classes([np.array([shades])], task)
        assert f"void={shades[1]}" in raised.value.hint and "classes=" in raised.value.hint


def test_more_classes_than_a_mask_can_number_are_an_error():
    assert len(encode(mask(), classes=[str(number) for number in range(255)]).targets) == 1
    with pytest.raises(DataError, match="256 classes"):
        encode(mask(), classes=[str(number) for number in range(256)])


def test_one_class_alone_cannot_be_learned_but_one_may_be_missing():
    masks = encode(mask()).targets
    assert METHODS.outputs(masks, CLASSES) == 3
    assert METHODS.outputs(np.where(masks == 2, VOID, masks), CLASSES) == 3
    with pytest.raises(DataError, match="only the class sky"):
        METHODS.outputs(np.where(masks == 1, 1, VOID).astype(np.uint8), CLASSES)


# -- head, loss and metrics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_the_head_gives_logits_in_training_and_classes_in_evaluation(name):
    both = network(name, outputs=5)
    images = torch.randn(2, 3, 64, 64)
    assert both.train()(images).shape == (2, 5, 64, 64)
    with torch.no_grad():
        said = both.eval()(images)
        head = both[1]
        logits = torch.nn.functional.interpolate(
            head.last(head.decoder(both[0](images))), scale_factor=4, mode="bilinear"
        )
    assert said.dtype == torch.float32
    assert (said == logits.argmax(1)).all()


def pyramid(side: int = 64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, 4, side // stride, side // stride, generator=generator)
        for stride in (4, 8, 16, 32)
    ]


def test_the_decoder_is_that_of_segmentation_models_pytorch():
    from segmentation_models_pytorch import FPN

    head = METHODS.head(Pyramid(channels=(64, 128, 256, 512)), 3)
    decoder = head.decoder.eval()
    published = FPN(
        "resnet18",
        encoder_weights=None,
        decoder_pyramid_channels=64,
        decoder_segmentation_channels=64,
    ).eval()

    torch.manual_seed(0)
    decoder.init_parameters()
    torch.manual_seed(0)
    published.initialize()
    drawn, expected = decoder.state_dict(), published.decoder.state_dict()
    assert list(drawn) == list(expected)
    assert all(torch.equal(drawn[name], expected[name]) for name in expected)

    for parameter in published.decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    decoder.load_state_dict(published.decoder.state_dict())
    sides = (24, 12, 6, 3)
    maps = [torch.randn(2, 64 * 2**level, side, side) for level, side in enumerate(sides)]
    with torch.no_grad():
        torch.testing.assert_close(decoder(maps), published.decoder(maps))


def test_a_diverged_network_says_no_class():
    head = METHODS.head(Pyramid((4, 4, 4, 4)), 3).eval()
    maps = pyramid()
    maps[0][1, 0, 0, 0] = math.nan
    with torch.no_grad():
        said = head(maps)
    assert said[1].isnan().any() and not said[0].isnan().any()
    with pytest.raises(TrainingError, match="not numbers"):
        METHODS.measure(said, torch.zeros(2, 64, 64, dtype=torch.uint8))


def test_logits_are_not_rounded_where_training_is_in_half_precision():
    torch.manual_seed(0)
    head = METHODS.head(Pyramid((4, 4, 4, 4)), 3).eval()
    head.in_training = head.in_evaluation = lambda found: found
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = head(pyramid())
    assert found.dtype == torch.float32
    assert not torch.equal(found, found.bfloat16().float())


def test_chance_is_the_loss_of_saying_nothing():
    masks = torch.arange(8, dtype=torch.uint8).repeat(2, 8, 1)
    assert METHODS.loss(torch.zeros(2, 8, 8, 8), masks).item() == pytest.approx(METHODS.chance(8))
    assert METHODS.chance(8) == pytest.approx(math.log(8) + 7 / 8)


def test_the_loss_is_cross_entropy_and_dice_over_what_is_not_void():
    torch.manual_seed(0)
    logits, masks = (
        torch.randn(2, 4, 4, 4),
        torch.randint(0, 3, (2, 4, 4), dtype=torch.uint8),
    )  # class 3 occurs in no mask
    masks[0, :2] = VOID
    chances = torch.tensor(
        [[[[math.exp(v) for v in row] for row in part] for part in one] for one in logits.tolist()]
    )
    chances = chances / chances.sum(1, keepdim=True)
    pixels = [
        (b, y, x) for b in range(2) for y in range(4) for x in range(4) if masks[b, y, x] != VOID
    ]
    entropy = np.mean([-math.log(chances[b, int(masks[b, y, x]), y, x]) for b, y, x in pixels])
    dice = []
    for c in range(3):
        true, said = (
            [float(masks[pixel] == c) for pixel in pixels],
            [float(chances[b, c, y, x]) for b, y, x in pixels],
        )
        dice.append(
            2 * sum(t * p for t, p in zip(true, said, strict=True)) / (sum(true) + sum(said))
        )
    assert float(METHODS.loss(logits, masks)) == pytest.approx(
        entropy + 1 - np.mean(dice), rel=1e-5
    )
    other = logits.clone()
    other[0, :, :2] = 50 * torch.randn(4, 2, 4)
    assert float(METHODS.loss(other, masks)) == pytest.approx(
        float(METHODS.loss(logits, masks)), rel=1e-6
    )


def test_the_loss_is_that_of_segmentation_models_pytorch_where_all_classes_occur():
    from segmentation_models_pytorch.losses import DiceLoss
    from torch.nn.functional import cross_entropy

    torch.manual_seed(0)
    logits, masks = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8), dtype=torch.uint8)
    masks[1, :3] = VOID
    published = cross_entropy(logits, masks.long(), ignore_index=VOID) + DiceLoss(
        "multiclass", ignore_index=VOID
    )(logits, masks.long())
    assert float(METHODS.loss(logits, masks)) == pytest.approx(float(published), rel=1e-5)


def test_a_batch_of_nothing_but_void_costs_nothing():
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = METHODS.loss(logits, torch.full((2, 4, 4), VOID, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@pytest.fixture
def judged():
    """Predictions and masks of five images: class 3 is only in the masks, 4 only in the predictions, 5 in neither."""
    random = np.random.default_rng(0)
    masks, said = random.integers(0, 3, (5, 6, 6)), random.integers(0, 3, (5, 6, 6))
    masks[0, :2], masks[1, 0, 0], masks[2, 0, :3] = VOID, 3, VOID
    said[1, 3, 3], said[0, 0, 0] = 4, 1
    return torch.tensor(said).float(), torch.tensor(masks).to(torch.uint8)


def by_hand(said, masks):
    """Every metric, pixel by pixel."""
    pairs = [
        (int(s), int(m)) for s, m in zip(said.flatten(), masks.flatten(), strict=True) if m != VOID
    ]
    iou, recall, weight = {}, {}, {}
    for number in {value for pair in pairs for value in pair}:
        both = sum(pair == (number, number) for pair in pairs)
        iou[number] = both / sum(number in pair for pair in pairs)
        weight[number] = sum(m == number for _, m in pairs)
        if weight[number]:
            recall[number] = both / weight[number]
    return iou, {
        "miou": np.mean(list(iou.values())),
        "pixel_accuracy": np.mean([s == m for s, m in pairs]),
        "mean_accuracy": np.mean(list(recall.values())),
        "weighted_iou": sum(weight[number] / len(pairs) * iou[number] for number in iou),
    }


def test_metrics_are_what_counting_pixel_by_pixel_gives(judged):
    iou, expected = by_hand(*judged)
    assert set(iou) == {0, 1, 2, 3, 4}
    assert dict(METHODS.measure(*judged)) == pytest.approx(expected)
    names = [*"abcdef"]
    assert METHODS.by_class(*judged, names)["iou"] == pytest.approx(
        {names[number]: value for number, value in iou.items()}
    )


def test_sums_of_tallies_give_the_metrics_of_any_choice_of_images(judged):
    said, masks = judged
    tally, rows = METHODS.tally(said, masks), [1, 1, 4]
    assert dict(METHODS.tallied(tally[rows].sum(0))) == pytest.approx(
        by_hand(said[rows], masks[rows])[1]
    )


def test_metrics_are_those_the_card_declares(judged):
    assert list(METHODS.measure(*judged)) == [metric.name for metric in segmentation.metrics]
    assert segmentation.metric("").name == "miou"
    assert all(metric.higher_is_better for metric in segmentation.metrics)


def test_predictions_that_are_not_numbers_are_an_error(judged):
    said, masks = judged
    said[0, 0, 0] = math.nan
    with pytest.raises(TrainingError, match="not numbers"):
        METHODS.measure(said, masks)


# -- augmentation, probe, picture -----------------------------------------------------------------------------


def test_augmentation_moves_the_mask_with_its_image():
    images, masks = squares(6)
    moved, targets = PairedTransform(METHODS, METHODS.augmentation(True))(
        images, masks, torch.Generator().manual_seed(0)
    )
    assert (
        moved.shape == images.shape
        and targets.shape == masks.shape
        and targets.dtype == masks.dtype
    )
    bright, inside = moved[:, 0] > 0.5, targets == 1
    for row in range(6):
        assert (bright[row] & inside[row]).sum() / (bright[row] | inside[row]).sum() > 0.9
        assert 24 * 0.8 - 2 <= inside[row].any(0).sum() <= 24 * 1.2 + 2
    assert any(not torch.equal(one, other) for one, other in zip(targets, masks, strict=True))


def test_what_comes_in_from_outside_is_void_and_mean_colour():
    images, masks = torch.ones(8, 3, 64, 64), torch.zeros(8, 64, 64, dtype=torch.uint8)
    moved, targets = PairedTransform(METHODS, METHODS.augmentation(False))(
        images, masks, torch.Generator().manual_seed(0)
    )
    assert set(targets.unique().tolist()) == {0, VOID}
    # Edges are interpolated in images, and not in masks.
    assert (moved[:, 0][targets == VOID] < 0.1).float().mean() > 0.95
    assert (moved[:, 0][targets == 0] > 0.9).float().mean() > 0.95


def test_a_probe_takes_as_many_pixels_of_every_class_of_an_image():
    masks = encode(mask(), mask()[:, ::-1], side=32).targets
    masks[1][masks[1] == 2] = VOID
    masks[1][0, :5] = 2
    probe = METHODS.probe(masks)
    counts = {
        (image, number): int(((probe.image == image) & (probe.labels == number)).sum())
        for image in (0, 1)
        for number in range(3)
    }
    assert counts == {
        (0, 0): PROBED_PIXELS,
        (0, 1): PROBED_PIXELS,
        (0, 2): PROBED_PIXELS,
        (1, 0): PROBED_PIXELS,
        (1, 1): PROBED_PIXELS,
        (1, 2): 5,
    }
    assert (np.diff(probe.image) >= 0).all()
    pixels = probe.places * 32 - 0.5
    assert np.allclose(pixels, pixels.round())
    x, y = pixels.round().astype(int).T
    assert (masks[probe.image, y, x] == probe.labels).all()
    assert len(set(zip(probe.image, x, y, strict=True))) == len(x)


def test_an_images_pixels_are_probed_alike_whatever_else_is():
    masks = encode(mask(), mask()[::-1], side=32).targets
    both, second = METHODS.probe(masks), METHODS.probe(masks[1:])
    assert (both.places[both.image == 1] == second.places).all()


def test_a_picture_shows_truth_and_prediction_in_the_same_colours():
    target, image = encode(mask(), side=64).targets[0], np.full((64, 64, 3), 100, np.uint8)
    target[0] = VOID
    said = target.astype(np.float16)
    said[0], said[1] = 0, 2
    panels = dict(METHODS.picture(image, target, said, CLASSES))
    truth, prediction = panels["truth"], panels["prediction"]
    assert list(panels) == ["image", "truth", "prediction", "classes"]
    assert (truth[0] == image[0]).all()
    same = target == said
    assert (truth[same] == prediction[same]).all()
    assert (truth[1] != prediction[1]).any(-1).all()
    assert len({tuple(colour) for colour in truth[1:].reshape(-1, 3).tolist()}) == 3


def test_an_answer_has_the_size_of_the_image_that_was_given():
    said = encode(mask(), side=32).targets[0].astype(np.float32)
    answer = METHODS.answer(said, CLASSES, SIZE)
    assert answer.shape == (48, 64) and answer.dtype == np.uint8
    assert (answer == mask()).mean() > 0.97


def test_a_few_steps_tell_squares_from_their_ground():
    both, (images, masks) = network(outputs=2, side=32), squares(8, side=32)
    optimiser = torch.optim.AdamW(both.parameters(), lr=1e-2)
    both.train()
    for _ in range(22):
        loss = METHODS.loss(both(images), masks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    unseen, truth = squares(8, side=32, seed=1)
    with torch.no_grad():
        learned = METHODS.measure(both.eval()(unseen), truth)["miou"]
    majority = METHODS.measure(torch.zeros(8, 32, 32), truth)["miou"]
    assert majority < 0.45
    assert learned > 0.7
