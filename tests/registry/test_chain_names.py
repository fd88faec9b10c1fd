"""Names of chains: written and read in one place."""

import pytest

from headwater.registry import Chain, Name, chain_name, parse_chain


def test_a_written_name_is_read_back():
    name = chain_name("timm/resnet18.a1_in1k[cut=head]", ["b", "a[x=1]"])
    assert name == "chain[base=timm/resnet18.a1_in1k[cut=head],on=a[x=1]+b]"
    chain = Chain("timm/resnet18.a1_in1k[cut=head]", ("a[x=1]", "b"))
    assert parse_chain(name) == parse_chain(Name.parse(name)) == chain


def test_a_chain_may_stand_on_a_chain():
    inner = chain_name("scratch/test_resnet", ["a"])
    chain = parse_chain(chain_name(inner, ["b"]))
    assert chain is not None
    assert parse_chain(chain.base) == Chain("scratch/test_resnet", ("a",))


@pytest.mark.parametrize(
    "name",
    [
        "chain",
        "chain[base=x]",
        "chain[base=x,on=a,more=1]",
        "timm/x",
        "chain[",
        "chain[base=x,on=+]",
    ],
)
def test_other_names_are_no_chains(name):
    assert parse_chain(name) is None
