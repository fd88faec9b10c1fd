"""The depth type: depth maps in with their flaws, metres of each pixel out."""

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
from headwater.plugins.task_types.depth import LAMBDA, PROBED_PIXELS, depth
from headwater.registry import Flaw, Pyramid
from headwater.registry.errors import DataError, TrainingError
from tests.facts import missing_facts
from tests.plugins.given import given
from tests.rendered import scenes

METHODS = depth.methods
SIZE = (64, 48)


def metres() -> np.ndarray:
    """(48, 64) float32: a floor from 4 m to 2 m, something 1.5 m away, nothing read at the left."""
    found = np.repeat(np.linspace(4, 2, 48, dtype=np.float32)[:, None], 64, 1)
    found[10:30, 20:50] = 1.5
    found[:, :6] = 0
    return found


def millimetres() -> np.ndarray:
    return np.round(metres() * 1000).astype(np.uint16)


def encode(*targets, side=32, **conventions):
    return METHODS.encode(given(depth, targets, side=side, shape=SIZE, **conventions))


def network(name: str = "test_resnet", side: int = 64) -> torch.nn.Sequential:
    torch.manual_seed(0)
    made = timm.create_model(name, num_classes=0, **({"img_size": side} if "vit" in name else {}))
    backbone = Backbone(made, dense=True)
    return torch.nn.Sequential(backbone, METHODS.head(width_of(backbone, side), 1))


# -- targets --------------------------------------------------------------------------------------------------


def test_a_depth_map_is_squeezed_into_the_square_and_mixes_no_readings():
    found = encode(metres(), side=32)
    expected = np.array(
        [
            [metres()[int((y + 0.5) * 48 / 32), int((x + 0.5) * 64 / 32)] for x in range(32)]
            for y in range(32)
        ]
    )
    assert found.targets.dtype == np.float32
    assert found.rows is None and found.flaws == ()
    assert (found.targets[0] == expected).all()
    assert (found.targets[0][:, :3] == 0).all() and (found.targets[0][:, 3:] >= 1.5).all()


def file(image: Image.Image, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "form",
    [
        lambda folder: millimetres(),
        lambda folder: Image.fromarray(millimetres()),
        lambda folder: file(Image.fromarray(millimetres())),
        lambda folder: file(Image.fromarray(metres()), "TIFF"),
        lambda folder: {"bytes": file(Image.fromarray(millimetres())), "path": None},
        lambda folder: folder / "depth.npy",
        lambda folder: metres().astype(np.float64),
    ],
)
def test_whole_numbers_are_millimetres_and_floats_metres(form, tmp_path):
    np.save(tmp_path / "depth.npy", metres())
    assert encode(form(tmp_path)).targets == pytest.approx(encode(metres()).targets, abs=6e-4)


def test_the_unit_is_the_one_that_the_task_says():
    centimetres = np.full((48, 64), 250, np.uint8)
    assert (encode(centimetres, unit=0.01).targets == 2.5).all()
    assert (encode(centimetres.astype(np.float32), unit=0.01).targets == 2.5).all()
    with pytest.raises(DataError, match="unit is 'mm', a number"):
        encode(centimetres, unit="mm")
    with pytest.raises(DataError, match="unit is 0, a number"):
        encode(centimetres, unit=0)


def test_a_map_of_another_size_than_its_image_is_left_out_and_so_is_its_image():
    found = encode(metres(), metres()[:, :60], None)
    assert found.rows.tolist() == [0]
    assert found.flaws == (
        Flaw("b.jpg", "has a depth map of 60×48, the image is 64×48", "left out"),
        Flaw("c.jpg", "has no depth map", "left out"),
    )


def test_a_map_without_a_reading_is_left_out():
    found = encode(np.zeros((48, 64), np.uint16), metres())
    assert found.rows.tolist() == [1]
    assert found.flaws == (Flaw("a.jpg", "has a depth map without a reading", "left out"),)


def test_depths_that_cannot_be_become_no_reading():
    wrong = metres()
    wrong[0, 10:13] = -1, math.inf, math.nan
    overflown = millimetres()
    overflown[47, 63] = 65535
    garbled = metres()
    garbled[0, 10:13] = 65535, 1e-5, 1000
    found = encode(wrong, overflown, metres(), garbled, side=64)
    assert found.rows is None
    assert found.flaws == (
        Flaw(
            "a.jpg",
            "has depths that cannot be: 1 negative, 1 infinite, 1 no number",
            "taken as no reading",
        ),
        Flaw("b.jpg", "has depths that cannot be: 1 of 65535", "taken as no reading"),
        Flaw(
            "d.jpg", "has depths that cannot be: 1 under 1 mm, 1 over 1 km", "taken as no reading"
        ),
    )
    assert (found.targets[0][0, 10:13] == 0).all() and found.targets[1][63, 63] == 0
    assert found.targets[3][0, 10:13].tolist() == [0, 0, 1000]
    assert np.isfinite(found.targets).all() and found.targets[:3].max() < 4.1


@pytest.mark.parametrize(
    ("targets", "conventions", "says"),
    [
        (
            [1000 * metres()] * 2,
            {},
            "100% .* 1 mm or over 1 km",
        ),  # millimetres that were saved as floats
        ([millimetres(), np.zeros((48, 64), np.uint16)], {"unit": 1}, "100% of its readings are"),
        ([1e-5 * metres()], {}, "100% of its readings are"),
    ],
)
def test_readings_that_are_all_out_of_bounds_are_in_another_unit(targets, conventions, says):
    with pytest.raises(DataError, match=says) as raised:
        encode(*targets, **conventions)
    assert "unit=0.001" in raised.value.hint


@pytest.mark.parametrize(
    ("target", "facts"),
    [
        (
            Image.new("RGB", SIZE),
            ("a.jpg", "48×64×3", "(H, W)"),
        ),
        (b"no image", ("a.jpg", "cannot be read", "cannot identify image file")),
        (
            "nowhere.npy",
            ("a.jpg", "cannot be read", "[Errno 2]", "'nowhere.npy'"),
        ),
        (np.full((48, 64), "far"), ("a.jpg", "type <U3")),
    ],
)
def test_what_is_no_depth_map_is_an_error_naming_the_image(target, facts):
    with pytest.raises(DataError) as raised:
        encode(target)
    assert missing_facts(raised.value.message, "depth map", *facts) == []
    assert raised.value.hint


# -- head, loss and metrics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_the_head_gives_log_depth_in_training_and_metres_in_evaluation(name):
    both = network(name)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert both.train()(images).shape == (2, 64, 64)
        said = both.eval()(images)
        logarithm = both[1].train()(both[0](images))
    assert said.shape == (2, 64, 64) and said.dtype == torch.float32
    assert torch.allclose(said, logarithm.exp())
    assert float(said.min()) > 0.5 and float(said.max()) < 2


def test_whatever_the_head_is_fed_its_depths_are_bounded():
    both = network()
    torch.nn.init.constant_(both[1].last.weight, 1e6)
    with torch.no_grad():
        said = both.eval()(torch.randn(2, 3, 64, 64))
    assert float(said.min()) >= 0.00099 and float(said.max()) <= 1001


def test_a_head_begins_at_the_mean_log_depth_of_its_targets():
    both, targets = network(), encode(metres(), metres() / 10, side=64).targets
    METHODS.init_head(both[1], targets)
    both[1].last.weight.data.zero_()
    expected = np.mean([np.log(target[target > 0]).mean() for target in targets])
    with torch.no_grad():
        said = both.eval()(torch.randn(1, 3, 64, 64))
    assert torch.allclose(said.log(), torch.tensor(expected, dtype=torch.float32), atol=1e-5)


@pytest.mark.parametrize("extreme", [0.001, 1000.0])
def test_a_head_begins_at_a_depth_that_it_can_leave_however_extreme_its_targets(extreme):
    head = METHODS.head(Pyramid((4, 4, 4, 4)), 1)
    METHODS.init_head(head, np.full((2, 32, 32), extreme, np.float32))
    METHODS.loss(
        head.train()([torch.randn(2, 4, side, side) for side in (8, 4, 2, 1)]),
        torch.ones(2, 32, 32),
    ).backward()
    assert abs(float(head.bias.grad)) > 1e-3


def test_chance_is_the_loss_of_one_depth_for_everything():
    targets = torch.from_numpy(np.stack([scene.depth() for scene in scenes("train")]))
    mean = np.mean([float(target[target > 0].log().mean()) for target in targets])
    assert METHODS.chance(1) == pytest.approx(
        float(METHODS.loss(torch.full_like(targets, mean), targets)), rel=0.5
    )


def test_the_loss_is_equation_4_of_eigen_et_al_at_the_readings():
    torch.manual_seed(0)
    logarithms, targets = torch.randn(2, 3, 3), torch.rand(2, 3, 3) + 0.5
    targets[0, 0] = 0
    each = []
    for b in range(2):
        d = [
            float(logarithms[b, y, x]) - math.log(targets[b, y, x])
            for y in range(3)
            for x in range(3)
            if targets[b, y, x] > 0
        ]
        each.append(sum(v * v for v in d) / len(d) - LAMBDA / len(d) ** 2 * sum(d) ** 2)
    assert LAMBDA == 0.5
    assert float(METHODS.loss(logarithms, targets)) == pytest.approx(np.mean(each), rel=1e-5)
    other = logarithms.clone()
    other[0, 0] = 99
    assert float(METHODS.loss(other, targets)) == float(METHODS.loss(logarithms, targets))


def test_images_without_a_reading_cost_nothing():
    logarithms, targets = torch.randn(2, 3, 3, requires_grad=True), torch.rand(2, 3, 3) + 0.5
    targets[0] = 0
    alone = METHODS.loss(logarithms[1:], targets[1:])
    assert METHODS.loss(logarithms, targets).item() == pytest.approx(alone.item())
    nothing = METHODS.loss(logarithms, torch.zeros(2, 3, 3))
    nothing.backward()
    assert nothing.item() == 0
    assert (logarithms.grad == 0).all()


def by_hand(said, true):
    """Every metric of one image, reading by reading."""
    pairs = [
        (float(p), float(t)) for p, t in zip(said.flatten(), true.flatten(), strict=True) if t > 0
    ]
    d = [math.log(p) - math.log(t) for p, t in pairs]
    return {
        "abs_rel": np.mean([abs(p - t) / t for p, t in pairs]),
        **{
            f"delta{k}": np.mean([max(p / t, t / p) < 1.25**k for p, t in pairs]) for k in (1, 2, 3)
        },
        "rmse": math.sqrt(np.mean([(p - t) ** 2 for p, t in pairs])),
        "rmse_log": math.sqrt(np.mean([v * v for v in d])),
        "silog": math.sqrt(np.mean([v * v for v in d]) - np.mean(d) ** 2),
    }


@pytest.fixture
def judged():
    """Predictions and depth maps of four images, readings missing in one, all of them in another."""
    random = torch.Generator().manual_seed(0)
    true = torch.rand(4, 5, 5, generator=random) * 4 + 0.5
    said = true * torch.exp(0.4 * torch.randn(4, 5, 5, generator=random))
    true[0, :2], true[2] = 0, 0
    return said, true


def test_metrics_are_means_over_images_of_what_each_reading_gives(judged):
    said, true = judged
    each = [by_hand(said[image], true[image]) for image in (0, 1, 3)]
    expected = {name: np.mean([image[name] for image in each]) for name in each[0]}
    assert dict(METHODS.measure(said, true)) == pytest.approx(expected, rel=1e-4)


def test_sums_of_tallies_give_the_metrics_of_any_choice_of_images(judged):
    said, true = judged
    rows = [1, 1, 2, 3]
    assert dict(METHODS.tallied(METHODS.tally(said, true)[rows].sum(0))) == pytest.approx(
        dict(METHODS.measure(said[rows], true[rows]))
    )


def test_metrics_are_those_the_card_declares_and_know_their_direction(judged):
    said, true = judged
    assert list(METHODS.measure(said, true)) == [metric.name for metric in depth.metrics]
    assert [metric.name for metric in depth.metrics if metric.higher_is_better] == [
        "delta1",
        "delta2",
        "delta3",
    ]
    assert depth.metric("").name == "abs_rel"
    assert METHODS.measure(true.clamp(min=1), true.clamp(min=1)) == pytest.approx(
        {metric.name: float(metric.higher_is_better) for metric in depth.metrics}
    )


def test_predictions_that_are_not_numbers_are_an_error(judged):
    said, true = judged
    said[0, 0, 0] = math.nan
    with pytest.raises(TrainingError, match="not numbers"):
        METHODS.measure(said, true)


# -- augmentation, probe, picture -----------------------------------------------------------------------------


def test_augmentation_moves_depth_with_its_image_and_divides_it_by_the_zoom():
    images, targets = torch.full((8, 3, 64, 64), -0.5), torch.full((8, 64, 64), 3.0)
    images[:, :, 20:44, 20:44], targets[:, 20:44, 20:44] = 1.0, 1.5
    moved, changed = PairedTransform(METHODS, METHODS.augmentation(True))(
        images, targets, torch.Generator().manual_seed(0)
    )
    assert changed.shape == targets.shape and changed.dtype == targets.dtype
    for image, target in zip(moved, changed, strict=True):
        values = target.unique()
        near, far = values[values > 0].tolist()
        assert far == pytest.approx(2 * near)
        width = int((target == near).any(0).sum())
        assert width == pytest.approx(24 * 1.5 / near, abs=1.5)
        bright = image[0] > 0.25
        assert (bright & (target == near)).sum() / (bright | (target == near)).sum() > 0.9
        outside = target == 0
        assert not outside.any() or (image[0][outside].abs() < 0.3).float().mean() > 0.95
    assert (changed == 0).any()
    assert len({round(float(target[target > 0].min()), 4) for target in changed}) == 8


def test_a_probe_takes_readings_of_every_image_and_their_log_depths():
    targets = encode(metres(), metres()[::-1], side=32).targets
    targets[1] = 0
    targets[1][0, :5] = 2
    probe = METHODS.probe(targets)
    assert np.bincount(probe.image).tolist() == [PROBED_PIXELS, 5]
    assert (np.diff(probe.image) >= 0).all()
    x, y = (probe.places * 32 - 0.5).round().astype(int).T
    assert np.allclose(probe.places, (np.stack([x, y], 1) + 0.5) / 32)
    assert probe.labels.shape == (PROBED_PIXELS + 5, 1)
    assert np.allclose(np.exp(probe.labels[:, 0]), targets[probe.image, y, x])
    assert (targets[probe.image, y, x] > 0).all()
    assert (METHODS.probe(targets[1:]).places == probe.places[probe.image == 1]).all()


def test_a_picture_colours_truth_and_prediction_on_one_scale():
    target, image = encode(metres(), side=32).targets[0], np.full((32, 32, 3), 100, np.uint8)
    said = np.where(target > 0, target, 1.5).astype(np.float16)
    said[0] = 9
    panels = METHODS.picture(image, target, said, ())
    (_, shown), (title, truth), (_, prediction) = panels
    assert [name for name, _ in panels] == ["image", "truth, 1.50 to 4.00 m", "prediction"]
    assert (shown == image).all() and title
    assert (truth[:, :3] == 0).all()  # no reading
    assert (truth[12, 20] == (68, 1, 84)).all()  # the nearest
    assert (prediction[0] == (253, 231, 37)).all()  # beyond the furthest
    assert np.abs(truth[1:, 3:].astype(int) - prediction[1:, 3:]).max() <= 2


def test_an_answer_is_in_metres_and_of_the_size_of_the_image_that_was_given():
    said = np.repeat(np.linspace(1, 3, 32, dtype=np.float32)[:, None], 32, 1)
    answer = METHODS.answer(said, (), SIZE)
    assert answer.shape == (48, 64) and answer.dtype == np.float32
    assert answer[24, 30] == pytest.approx(2.0, abs=0.05)


def test_a_few_steps_tell_near_from_far():
    """Bright squares 1 m away before a dark wall at 3 m: better than the one depth that is best without looking."""

    def squares(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        random = np.random.default_rng(seed)
        images, targets = torch.full((8, 3, 32, 32), -0.5), torch.full((8, 32, 32), 3.0)
        for row in range(8):
            top, left = random.integers(2, 14, 2)
            (
                images[row, :, top : top + 16, left : left + 16],
                targets[row, top : top + 16, left : left + 16],
            ) = 1.0, 1.0
        return images, targets

    both, (images, targets) = network(side=32), squares(0)
    METHODS.init_head(both[1], targets.numpy())
    optimiser = torch.optim.AdamW(both.parameters(), lr=1e-2)
    both.train()
    for _ in range(22):
        loss = METHODS.loss(both(images), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    unseen, truth = squares(1)
    with torch.no_grad():
        learned = METHODS.measure(both.eval()(unseen), truth)["abs_rel"]
    blind = min(
        METHODS.measure(torch.full((8, 32, 32), value), truth)["abs_rel"]
        for value in np.linspace(1, 3, 41).tolist()
    )
    assert learned < 0.6 * blind
