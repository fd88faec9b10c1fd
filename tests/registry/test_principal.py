"""Principal axes against a singular value decomposition, and scikit-learn's signs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from headwater.registry import Evidence
from headwater.registry.evidence.principal import Principal
from tests.plugins.estimators import cases


@pytest.mark.parametrize("with_moments", [False, True])
@pytest.mark.parametrize("case", cases.CASES, ids=cases.name)
def test_scatter_and_scores_are_those_of_a_singular_value_decomposition(case, with_moments):
    data = case()
    evidence = Evidence.of(data.features, data.labels)
    principal = evidence.principal if with_moments else Principal.of(data.features)
    features = data.features.astype(np.float64)
    singular = np.linalg.svd(features - features.mean(0), compute_uv=False)
    rank = int((singular > 1e-7 * singular[0]).sum())
    assert len(principal.scatter) == rank < len(features)
    assert principal.scatter == pytest.approx(singular[:rank] ** 2, rel=1e-8)
    assert principal.axes.T @ principal.axes == pytest.approx(np.eye(rank), abs=1e-8)
    expected = PCA(rank, svd_solver="full").fit_transform(features)
    assert principal.scores(data.features) == pytest.approx(
        expected, rel=1e-6, abs=1e-7 * singular[0]
    )
    assert principal.scores(data.features, 2) == pytest.approx(
        expected[:, :2], rel=1e-6, abs=1e-7 * singular[0]
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("shape", [(40, 5), (5, 40)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_that_do_not_vary_have_no_axes(shape, value, dtype):
    evidence = Evidence.of(np.full(shape, value, dtype), np.arange(shape[0]) % 2)
    for principal in (evidence.principal, Principal.of(evidence.features)):
        assert principal.scatter.shape == (0,) and principal.scores(evidence.features).shape == (
            shape[0],
            0,
        )


def test_the_sign_does_not_hang_on_rounding_where_two_loadings_are_equally_large():
    """A column and its negative have loadings of one size: the first is made positive."""
    column = np.random.default_rng(0).normal(size=(30, 1))
    for factor in (1.0, 1 / 3, 1e3 / 7):
        principal = Principal.of(np.c_[column, -column] * factor)
        assert principal.axes[:, 0] == pytest.approx([0.5**0.5, -(0.5**0.5)])


def test_blocks_of_images_have_the_same_scores(monkeypatch):
    from headwater.registry.evidence import principal

    data = cases.few_features()
    whole = Principal.of(data.features).scores(data.features)
    monkeypatch.setattr(principal, "BLOCK_VALUES", 35)
    assert Principal.of(data.features).scores(data.features) == pytest.approx(whole, rel=1e-12)
