"""The pool: which sources a question is about, and why others are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headwater.harness.selecting.pool import pool_of
from headwater.harness.selecting.relations import relation
from headwater.registry import Registry
from headwater.registry.errors import BadSpec, UnknownName
from tests.harness.toy import PLUGIN

BASE = Registry.discover([PLUGIN])


def registry():
    """Toy sources with parameters and licences of their own."""
    fixed = BASE.source("toy/fixed")
    cards = [
        replace(fixed, name="own/small", parameters=10, licence="mit", origin=""),
        replace(fixed, name="own/large", parameters=1000, licence="Apache-2.0", origin=""),
        replace(fixed, name="own/unsaid", origin=""),
    ]
    return Registry.discover([PLUGIN, *cards])


def names(patterns, **changes):
    known = registry()
    pool = pool_of(patterns, known.task("toy/shades"), known, **changes)
    return [source.name for source in pool.sources], pool.left_out


def test_names_and_globs_each_source_once():
    assert names(["own/*", "own/small,toy/fixed"])[0] == [
        "own/small",
        "own/large",
        "own/unsaid",
        "toy/fixed",
    ]


def test_what_is_not_known_is_left_out_and_counted_where_it_is_asked_about():
    kept, left_out = names(["own/*"], licences=["apache*"])
    assert kept == ["own/large"]
    assert left_out == {
        "their licence is not apache*": ["own/small"],
        "their licence is not known": ["own/unsaid"],
    }
    kept, left_out = names(["own/*"], max_parameters=100)
    assert kept == ["own/small"]
    assert left_out == {
        "they have more than 100 parameters": ["own/large", "own/unsaid"],
    }
    with pytest.raises(BadSpec, match="no source is left"):
        names(["own/*"], max_parameters=1)


def test_parameters_of_timm_sources_are_counted_without_their_weights():
    kept, left_out = names(["scratch/test_resnet,scratch/resnet18"], max_parameters=1_000_000)
    assert kept == ["scratch/test_resnet"]
    assert list(left_out.values()) == [["scratch/resnet18"]]


def test_a_chain_is_asked_about_without_the_target():
    chains = [
        "chain[base=toy/random,on=toy/shades]",
        "chain[base=toy/random,on=toy/shades+toy/halves]",
    ]
    kept, left_out = names(chains)
    assert kept == ["chain[base=toy/random,on=toy/halves]"]
    assert list(left_out.values()) == [["chain[base=toy/random,on=toy/shades]"]]


def test_a_missing_weights_file_is_one_sources_trouble_and_a_wrong_name_the_users(tmp_path):
    known = registry()
    pool = pool_of(
        [f"own/small,timm/test_resnet[weights={tmp_path}/no.safetensors]"],
        known.task("toy/shades"),
        known,
    )
    assert [source.name for source in pool.sources] == ["own/small"]
    assert "there is no weights file" in next(iter(pool.failed.values()))
    with pytest.raises(UnknownName, match="own/small"):
        names(["own/smal"])


def test_relations_are_those_of_the_stores_view():
    known = registry()
    task, parents = known.task("toy/shades"), {"synthetic": frozenset({"drawings"})}
    of = lambda name: relation(known.source(name), task, known, parents)  # noqa: E731
    assert of("toy/fixed") == "within-domain"
    assert of("toy/random") is None
    assert (
        of("chain[base=toy/random,on=toy/halves]") == "including"
    )  # drawings contain what is synthetic, here
    assert (
        relation(known.source("chain[base=toy/random,on=toy/halves]"), task, known, {})
        == "cross-domain"
    )
    assert of("chain[base=toy/random,on=toy/halves+toy/tones]") == "including"
