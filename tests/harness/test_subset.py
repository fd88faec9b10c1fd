"""Subsets are nested, balanced, disjoint, and the same for every source."""

import numpy as np
import pytest

from headwater.harness.data.subset import draw_subset
from headwater.registry.errors import NotApplicable

STRATA = np.random.default_rng(0).integers(0, 7, 490)


@pytest.mark.parametrize("seed", range(5))
def test_smaller_subsets_are_contained_in_larger_ones_in_both_parts(seed):
    small, middle, whole = (draw_subset(STRATA, size, seed, 0.2) for size in ("50", "150", "full"))
    assert set(small.train) < set(middle.train) < set(whole.train)
    assert set(small.validation) < set(middle.validation) < set(whole.validation)


@pytest.mark.parametrize("size", [7, 21, 50, 150])
def test_a_subset_has_exactly_its_size_and_its_parts_are_disjoint(size):
    chosen = draw_subset(STRATA, str(size), 0, 0.2)
    assert len(chosen) == size
    assert not set(chosen.train) & set(chosen.validation)


def test_classes_differ_by_at_most_one_image():
    chosen = draw_subset(STRATA, "150", 3, 0.2)
    counts = np.bincount(STRATA[np.concatenate([chosen.train, chosen.validation])], minlength=7)
    assert counts.max() - counts.min() <= 1


def test_an_exhausted_class_leaves_its_share_to_the_others():
    strata = np.array([0] * 3 + [1] * 100)
    chosen = draw_subset(strata, "50", 0, 0.2)
    counts = np.bincount(strata[np.concatenate([chosen.train, chosen.validation])])
    assert counts.tolist() == [3, 47]


def test_about_a_fifth_validates_and_every_class_is_trained_on():
    chosen = draw_subset(STRATA, "full", 0, 0.2)
    assert 0.17 < len(chosen.validation) / 490 < 0.21
    assert set(STRATA[chosen.train]) == set(range(7))


@pytest.mark.parametrize("images", [2, 3, 4, 5, 10])
def test_about_a_fifth_validates_however_few_images_a_class_has(images):
    """Of 37 classes with four images each, only one image used to validate."""
    chosen = draw_subset(np.arange(37 * images) % 37, "full", 0, 0.2)
    # Of so few the first of each class cannot; a class begins to count at one of four places.
    wanted = {2: 1 / 4 / 2, 3: 2 / 4 / 3, 4: 3 / 4 / 4}.get(images, 1 / 5)
    assert len(chosen.validation) / (37 * images) == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
def test_whatever_share_validates_no_class_is_without_training_images(share):
    strata = np.arange(400) % 20
    chosen = draw_subset(strata, "full", 0, share)
    assert len(chosen.validation) == pytest.approx(400 * share, rel=0.15)
    assert set(strata[chosen.train]) == set(range(20))


def test_one_image_a_class_still_leaves_something_to_choose_on():
    chosen = draw_subset(np.arange(7), "7", 0, 0.2)
    assert len(chosen.validation) == 1


def test_the_same_seed_gives_the_same_images_and_another_seed_others():
    one, two, other = (
        draw_subset(STRATA, "50", 0, 0.2),
        draw_subset(STRATA, "50", 0, 0.2),
        draw_subset(STRATA, "50", 1, 0.2),
    )
    assert one.train.tolist() == two.train.tolist()
    assert one.train.tolist() != other.train.tolist()


@pytest.mark.parametrize("size", ["1", "2"])
def test_a_size_that_leaves_one_image_to_train_on_is_not_applicable(size):
    with pytest.raises(NotApplicable, match="at least 2 are needed"):
        draw_subset(STRATA, size, 0, 0.2)


def test_too_few_images_say_how_many_there_are():
    with pytest.raises(NotApplicable, match="only 490 training images, 500 asked for"):
        draw_subset(STRATA, "500", 0, 0.2)
