"""The anatomy's formulas against brute force, and the analyses on toy networks."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score
from torch import nn

from headwater.harness.measure.adapting import build_objective
from headwater.harness.measure.analysing import ChangedImages, LoadedNetworks
from headwater.harness.measure.loaded_cell import load_cell
from headwater.harness.measure.loaded_network import check_on_a_line, interpolated, pooled
from headwater.harness.planning.planner import plan
from headwater.harness.planning.spec import Spec
from headwater.harness.running.schedule import Schedule
from headwater.harness.running.worker import Worker
from headwater.leaderboard.store.records import State
from headwater.plugins.analyses.barrier import height, metric_between, recompute_statistics
from headwater.plugins.analyses.block_shuffle import shuffle_blocks
from headwater.plugins.analyses.distance import l2
from headwater.plugins.analyses.mistakes import entropy, kappa, table
from headwater.plugins.analyses.similarity import Cka, similarity
from headwater.registry import Registry
from headwater.registry.errors import NotApplicable
from tests.harness.toy import PLUGIN, keys

ALL = ["barrier", "block_shuffle", "criticality", "distance", "mistakes", "similarity"]
ANATOMY = {"analyses": ALL, "blocks": [2, 4, 5, 8, 16], "points": 5, "images": 20}


# -- block shuffle ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "block"), [(8, 1), (8, 2), (8, 3), (9, 4)])
def test_shuffling_moves_whole_blocks_and_leaves_the_remainder(side, block):
    images = np.arange(2 * side * side * 3).reshape(2, side, side, 3)
    mixed = shuffle_blocks(images, block, seed=1)
    grid = side // block

    def squares(image):
        return [
            image[r * block : (r + 1) * block, c * block : (c + 1) * block].tobytes()
            for r in range(grid)
            for c in range(grid)
        ]

    first, second = (
        ([squares(m).index(s) for s in squares(i)]) for i, m in zip(images, mixed, strict=True)
    )
    assert sorted(first) == list(range(grid * grid))
    assert first == second != list(range(grid * grid))
    np.testing.assert_array_equal(mixed[:, grid * block :], images[:, grid * block :])
    np.testing.assert_array_equal(mixed[:, :, grid * block :], images[:, :, grid * block :])


def test_one_block_is_the_image_itself_and_the_order_belongs_to_the_seed():
    images = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3)).astype(np.uint8)
    np.testing.assert_array_equal(shuffle_blocks(images, 8, 0), images)
    assert (shuffle_blocks(images, 1, 0) != shuffle_blocks(images, 1, 1)).any()
    np.testing.assert_array_equal(
        ChangedImages(images, partial(shuffle_blocks, block=2, seed=7))[np.array([2, 0])],
        shuffle_blocks(images, 2, 7)[[2, 0]],
    )


# -- similarity -------------------------------------------------------------------------------------------


def unbiased_hsic(x, y):
    """The U-statistic of HSIC with linear kernels (Song et al. 2012), one quadruple at a time."""
    k, l = x @ x.T, y @ y.T  # noqa: E741
    terms = [
        k[a, b] * (l[a, b] + l[c, d] - 2 * l[a, c]) for a, b, c, d in permutations(range(len(x)), 4)
    ]
    return np.mean(terms)


@pytest.mark.parametrize("batch", [9, 4, 1])
@pytest.mark.parametrize("width", [3, 20])
def test_cka_is_that_of_unbiased_hsic_by_brute_force_whatever_the_batches(batch, width):
    random = np.random.default_rng(0)
    x = random.normal(10, 1, (9, width))
    y = x[:, :3] @ random.normal(size=(3, 5)) + random.normal(size=(9, 5))
    scale = np.sqrt(unbiased_hsic(x, x) * unbiased_hsic(y, y))
    cka = Cka([(1, 2)])
    for start in range(0, 9, batch):
        rows = slice(start, start + batch)
        cka.add({1: torch.tensor(x[rows]), 2: torch.tensor(y[rows])})
    assert cka.value(1, 2) == pytest.approx(unbiased_hsic(x, y) / scale, rel=1e-9)
    assert cka.value(1, 1) == pytest.approx(1, rel=1e-12)
    assert cka.value(1, 3) is None


def test_independent_features_have_no_cka_however_wide_they_are():
    random = np.random.default_rng(0)
    for _ in range(3):
        x, y = random.normal(size=(2, 210, 1280))
        cka = Cka([(1, 2)])
        cka.add({1: torch.tensor(x), 2: torch.tensor(y)})
        assert cka.value(1, 2) == pytest.approx(0, abs=0.02)
        assert cka.value(2, 2) == pytest.approx(1, rel=1e-12)


def test_three_images_are_too_few_for_cka():
    cka = Cka([(1, 2)])
    cka.add({1: torch.rand(3, 4), 2: torch.rand(3, 4)})
    assert cka.value(1, 2) is None


def test_cka_does_not_change_with_rotation_scale_and_shift():
    random = np.random.default_rng(0)
    x = random.normal(size=(30, 6))
    turned = 3 * x @ np.linalg.qr(random.normal(size=(6, 6)))[0] + 5
    cka = Cka([(1, 2)])
    cka.add({1: torch.tensor(x), 2: torch.tensor(turned)})
    assert cka.value(1, 2) == pytest.approx(1)


def test_cka_of_features_that_are_all_the_same_is_not_known():
    cka = Cka([(1, 2)])
    cka.add({1: torch.ones(4, 2), 2: torch.rand(4, 2)})
    assert cka.value(1, 2) is None


def test_maps_and_tokens_are_averaged_over_places():
    maps = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(pooled(maps), maps.mean((2, 3)))
    torch.testing.assert_close(
        pooled(maps.permute(0, 2, 3, 1), channels_last=True), maps.mean((2, 3))
    )
    torch.testing.assert_close(pooled(maps.flatten(2).transpose(1, 2)), maps.mean((2, 3)))


# -- distance, barrier ------------------------------------------------------------------------------------


def test_distance_is_the_root_of_the_summed_squares():
    one = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[3.0]])}
    other = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([[6.0]])}
    assert l2(one, other, ["a", "b"]) == pytest.approx(13**0.5)
    assert l2(one, other, ["b"]) == pytest.approx(3)


def test_between_two_states_lies_the_line_and_identical_ones_do_not_move():
    one = {"w": torch.randn(50), "count": torch.tensor(3)}
    other = {"w": torch.randn(50), "count": torch.tensor(4)}
    torch.testing.assert_close(
        interpolated(one, other, 0.25)["w"], 0.75 * one["w"] + 0.25 * other["w"]
    )
    assert torch.equal(interpolated(one, one, 0.3)["w"], one["w"])
    assert interpolated(one, other, 0.5)["count"] == 3


@pytest.mark.parametrize(("sign", "expected"), [(1, 0.35), (-1, 0.05)])
def test_height_is_the_largest_gap_below_the_line_between_the_ends(sign, expected):
    places, values = [0, 0.25, 0.5, 1], [0.8, 0.8, 0.35, 0.6]
    assert height(places, values, sign) == pytest.approx(
        max(sign * ((1 - p) * 0.8 + p * 0.6 - v) for p, v in zip(places, values, strict=True))
    )
    assert height(places, values, sign) == pytest.approx(expected)


# -- mistakes ---------------------------------------------------------------------------------------------


def test_the_table_of_mistakes_counted_by_hand():
    one, other = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 1], bool)
    found = {
        (r.module, r.quantity): r.value
        for r in table("s", one, other, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    }
    assert [
        found[m, "images"]
        for m in ("both-right", "only-first-wrong", "only-second-wrong", "both-wrong")
    ] == [2, 1, 1, 1]
    assert [
        found[m, "ambiguity"]
        for m in ("both-right", "only-first-wrong", "only-second-wrong", "both-wrong")
    ] == [3, 3, 2, 4]
    assert found["both-right", "share"] == pytest.approx(0.4)
    assert ("both-right", "ambiguity") not in {
        (r.module, r.quantity) for r in table("s", one, other, None)
    }


def test_kappa_is_scikit_learns():
    random = np.random.default_rng(0)
    one = random.random(200) < 0.8
    other = np.where(random.random(200) < 0.6, one, random.random(200) < 0.7)
    assert kappa(one, other) == pytest.approx(cohen_kappa_score(one, other))
    assert kappa(np.ones(5, bool), np.ones(5, bool)) is None


def test_ambiguity_is_the_entropy_of_the_mean_prediction():
    sure, unsure = np.array([[1000.0, 0.0]]), np.array([[0.0, 1000.0]])
    assert entropy([sure, sure]) == pytest.approx(0)
    assert entropy([sure, unsure]) == pytest.approx(np.log(2))
    assert entropy([np.zeros((3, 4))]) == pytest.approx(np.full(3, np.log(4)))


# -- on networks ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """Every analysis of the toy source on two seeds: its plan, its worker and the outcomes by job."""
    folder = tmp_path_factory.mktemp("anatomy")
    learns = {"epochs": 6, "batch_size": 8, "learning_rate": 0.05}
    made = plan(
        Spec.of(keys(seeds=2, sizes=["full"], training=learns, anatomy=ANATOMY)),
        Registry.discover([PLUGIN]),
    )
    worker, schedule, outcomes = Worker(folder, [PLUGIN], 1), Schedule(made.jobs.values()), {}
    while (job := schedule.take()) is not None:
        outcomes[job.id] = worker.run(job)
        schedule.settle(outcomes[job.id])
    return made, worker, outcomes


@pytest.fixture
def networks(analysed):
    made, worker, _ = analysed
    job = next(job for job in made.jobs.values() if job.kind == "analyse" and job.record.seed == 0)
    return LoadedNetworks(job, worker.bench, lambda *_: None)


def readings(analysed, analysis, seed=0):
    made, _, outcomes = analysed
    job = next(
        job
        for job in made.jobs.values()
        if job.record.analysis == analysis and job.record.seed == seed
    )
    assert outcomes[job.id].state is State.DONE, outcomes[job.id].reason
    return {(r.subject, r.quantity, r.module, r.x): r.value for r in outcomes[job.id].readings}


def test_the_kept_network_measures_what_its_cell_recorded(analysed, networks):
    outcomes = analysed[2]
    for role in ("P-T", "RI-T", "P-T'", "RI-T'"):
        subject = networks.trained(role)
        recorded = {
            (m.split, m.metric): m.value for m in outcomes[networks.job.cells[role].id].metrics
        }
        assert subject.metric(subject.test_rows()) == recorded["test", "accuracy"]


def test_a_network_is_rebuilt_bit_for_bit_as_training_found_it(networks, analysed):
    one, two = (
        networks.initial("RI-T"),
        build_objective(
            load_cell(networks.job.cells["RI-T"], networks.bench), networks.bench
        ).network,
    )
    assert all(
        torch.equal(a, b)
        for a, b in zip(one.state.values(), two.state_dict().values(), strict=True)
    )
    assert not torch.equal(
        one.state["0.network.stem.weight"], networks.initial("RI-T'").state["0.network.stem.weight"]
    )
    assert torch.equal(
        networks.initial("P-T").state["0.network.stem.weight"],
        networks.initial("P-T'").state["0.network.stem.weight"],
    )


def test_block_shuffle_ends_at_the_networks_as_they_are(analysed, networks):
    found = readings(analysed, "block_shuffle")
    assert {x for *_, x in found} == {2, 4, 8}
    for role in ("P-T", "RI-T"):
        recorded = {
            (m.split, m.metric): m.value for m in analysed[2][networks.job.cells[role].id].metrics
        }
        assert found[role, "metric", "", 8] == recorded["test", "accuracy"]
    for x in (2, 4, 8):
        pt, rit = (found[role, "metric", "", x] for role in ("P-T", "RI-T"))
        assert found["P-T/RI-T", "relative_drop", "", x] == pytest.approx(100 * (pt - rit) / pt)


def test_distance_adds_up_over_the_modules_and_is_that_of_the_states(analysed, networks):
    found = readings(analysed, "distance")
    one, other = networks.trained("P-T").network, networks.trained("RI-T").network
    expected = (
        sum(
            float((a - b).detach().double().square().sum())
            for a, b in zip(one.parameters(), other.parameters(), strict=True)
        )
        ** 0.5
    )
    assert found["P-T/RI-T", "l2", "", None] == pytest.approx(expected)
    for pair in ("P/P-T", "RI/RI-T", "P-T/P-T", "RI-T/RI-T", "P-T/RI-T"):
        parts = [found[pair, "l2", module, x] for module, x in (("stem", 0.0), ("head", 1.0))]
        assert found[pair, "l2", "", None] == pytest.approx(sum(part**2 for part in parts) ** 0.5)
        assert found[pair, "l2", "", None] > 0


def test_between_a_network_and_itself_there_is_no_barrier(networks):
    subject = networks.trained("P-T")
    values = metric_between(subject, networks.trained("P-T"), [0, 0.3, 1], 20)
    assert len(set(values)) == 1
    assert height([0, 0.3, 1], values, 1) == 0


def test_a_barrier_is_read_off_its_own_curve_and_is_never_below_0(analysed):
    found = readings(analysed, "barrier")
    places = np.linspace(0, 1, 5).tolist()
    for pair in ("P-T/P-T", "RI-T/RI-T", "P-T/RI-T"):
        values = [found[pair, "metric", "", place] for place in places]
        assert found[pair, "barrier", "", None] == pytest.approx(height(places, values, 1))
        assert found[pair, "barrier", "", None] >= 0


def test_statistics_are_recomputed_from_the_images_alone(networks):
    subject = networks.trained("RI-T")
    rows = np.arange(12)
    with subject.holding({}):
        norm = next(
            module for module in subject.network.modules() if isinstance(module, nn.BatchNorm2d)
        )
        seen = []
        hook = norm.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
        recompute_statistics(subject, rows)
        hook.remove()
        torch.testing.assert_close(norm.running_mean, seen[0].mean((0, 2, 3)))
        torch.testing.assert_close(norm.running_var, seen[0].var((0, 2, 3)))
        assert not norm.training
        assert norm.momentum == 0.1


class ChannelsOfRows:
    """Stands for a network of one batch norm: image i of the rows is the value i everywhere."""

    def __init__(self, count):
        self.network = nn.Sequential(nn.BatchNorm2d(1)).eval()
        self.values = torch.linspace(-1, 1, count)

    def train_batches(self, rows):
        for start in range(0, len(rows), 128):
            batch = self.values[rows[start : start + 128]]
            yield batch[:, None, None, None].expand(-1, 1, 4, 4)

    def precision(self):
        return nullcontext()


@pytest.mark.parametrize("count", [129, 150, 256, 300, 512])
def test_statistics_do_not_depend_on_the_order_of_the_images(count):
    subject = ChannelsOfRows(count)
    recompute_statistics(subject, np.arange(count))
    norm = subject.network[0]
    deviation = subject.values.std()
    assert abs(norm.running_mean.item()) < 0.02 * deviation
    assert norm.running_var.item() == pytest.approx(float(deviation**2), rel=0.03)


def test_analyses_leave_the_network_as_it_was(networks):
    subject = networks.trained("P-T")
    before = {name: tensor.clone() for name, tensor in subject.state.items()}
    metric_between(subject, networks.trained("RI-T"), [0, 0.5, 1], 20)
    assert all(torch.equal(before[name], tensor) for name, tensor in subject.state.items())


def test_criticality_rewinds_one_module_and_keeps_the_rest(analysed, networks):
    found = readings(analysed, "criticality")
    subject, initial = networks.trained("P-T"), networks.initial("P-T")
    rows = subject.test_rows(20)
    for module, x in (("stem", 0.0), ("head", 1.0)):
        with subject.holding(
            {name: initial.state[name] for name in subject.parts[module].parameters}
        ):
            rewound = subject.metric(rows)
        assert found["P-T", "drop", module, x] == pytest.approx(subject.metric(rows) - rewound)
        assert found["P-T", "path", module, 0.0] == rewound
        assert found["P-T", "path", module, 1.0] == subject.metric(rows)
    assert all(
        not name.endswith(("running_mean", "running_var"))
        for part in subject.parts.values()
        for name in part.parameters
    )


def test_similarity_has_every_stage_and_pair_and_is_at_most_1(analysed):
    found = readings(analysed, "similarity")
    for pair in ("P/P-T", "RI/RI-T", "P-T/P-T", "RI-T/RI-T", "P-T/RI-T"):
        assert -1 - 1e-9 <= found[pair, "cka", "stem", 0.0] <= 1 + 1e-9
        assert ((pair, "cka", "head", 1.0) in found) == (
            pair in ("P-T/P-T", "RI-T/RI-T", "P-T/RI-T")
        )


def test_similarity_leaves_gradients_on_for_the_job_after_it(networks):
    similarity.measure(networks, images=20)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_mistakes_agree_with_the_predictions(analysed, networks):
    found = readings(analysed, "mistakes")
    files = networks.bench.files
    right = {
        role: np.load(files.predictions(job.id)).argmax(1) == np.arange(30) % 3
        for role, job in networks.job.cells.items()
    }
    assert (
        found["P-T/RI-T", "images", "only-second-wrong", None]
        == (right["P-T"] & ~right["RI-T"]).sum()
    )
    assert found["P-T/P-T", "images", "both-right", None] == (right["P-T"] & right["P-T'"]).sum()
    modules = ("both-right", "only-first-wrong", "only-second-wrong", "both-wrong")
    assert sum(found["P-T/RI-T", "share", module, None] for module in modules) == pytest.approx(1)


def test_with_one_seed_there_is_no_other_to_compare_with(tmp_path):
    made = plan(
        Spec.of(keys(seeds=1, anatomy={"analyses": ["distance"]})), Registry.discover([PLUGIN])
    )
    worker = Worker(tmp_path, [PLUGIN], 1)
    outcomes = {job.id: worker.run(job) for job in made.jobs.values()}
    job = next(job for job in made.jobs.values() if job.kind == "analyse")
    assert outcomes[job.id].state is State.DONE, outcomes[job.id].reason
    assert {r.subject for r in outcomes[job.id].readings} == {"P-T/RI-T", "P/P-T", "RI/RI-T"}


def test_a_network_that_is_gone_is_named(tmp_path):
    made = plan(
        Spec.of(keys(seeds=1, anatomy={"analyses": ["distance"]})), Registry.discover([PLUGIN])
    )
    worker = Worker(tmp_path, [PLUGIN], 1)
    job = next(job for job in made.jobs.values() if job.kind == "analyse")
    outcome = worker.run(job)
    assert outcome.state is State.FAILED
    assert outcome.error == "WeightsError"
    assert "toy/fixed → toy/shades" in outcome.reason


def test_networks_of_other_shapes_are_not_compared(networks):
    one = networks.trained("P-T")
    other = replace(one, network=nn.Linear(2, 2))
    with pytest.raises(NotApplicable, match="toy/fixed"):
        check_on_a_line(one, other)


def test_a_tuned_cells_networks_come_with_the_recipe_that_was_chosen(tmp_path):
    tuning = {"trials": 2, "space": {"learning_rate": [0.02, 0.3]}}
    changes = {
        "seeds": 1,
        "tuning": tuning,
        "anatomy": {"analyses": ["block_shuffle"], "blocks": [4]},
    }
    made = plan(Spec.of(keys(**changes)), Registry.discover([PLUGIN]))
    worker = Worker(tmp_path, [PLUGIN], 1)
    outcomes = {job.id: worker.run(job) for job in made.jobs.values()}
    job = next(job for job in made.jobs.values() if job.kind == "analyse")
    assert outcomes[job.id].state is State.DONE, outcomes[job.id].reason
    networks = LoadedNetworks(job, worker.bench, lambda *_: None)
    for role, cell in job.cells.items():
        chosen = next(trial for trial in outcomes[cell.id].trials if trial.chosen)
        assert networks.cell(role).settings.learning_rate == chosen.config.get(
            "learning_rate", cell.training.learning_rate
        )
        subject = networks.trained(role)
        assert (
            subject.metric(subject.test_rows())
            == {m.split: m.value for m in outcomes[cell.id].metrics if m.metric == "accuracy"}[
                "test"
            ]
        )
