"""Parameters are counted for everybody's source."""

import headwater as hw
from headwater.registry import Registry


def build():
    from torch import nn

    return nn.Linear(4, 3)


def broken():
    raise OSError("no such file")


def test_parameters_come_from_the_card_a_counter_or_the_network():
    assert hw.source_model("lab/a", parameters=7)(build).count_parameters() == 7
    assert hw.source_model("lab/b", parameter_counter=lambda: 8)(build).count_parameters() == 8
    assert hw.source_model("lab/c")(build).count_parameters() == 15
    assert hw.source_model("lab/d")(broken).count_parameters() is None


def test_a_chain_has_the_parameters_of_its_base():
    registry = Registry.discover()
    base = registry.source("scratch/test_resnet")
    chain = registry.source(hw.chain_name(base.name, ["sklearn/digits"]))
    assert chain.count_parameters() == base.count_parameters() is not None
