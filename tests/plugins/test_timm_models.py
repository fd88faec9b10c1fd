"""timm's models as sources, on its test architectures."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import timm as timm_library
import torch
from safetensors.torch import load_file, save_file

import headwater as hw
from headwater.plugins.models.timm_listing import listing
from headwater.registry import Kind
from headwater.registry.errors import BadName, UnknownName, WeightsError
from tests.facts import missing_facts
from tests.plugins.fake_hub import fake_hub

ARCHITECTURE = "test_resnet"
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def registry():
    return hw.Registry.discover()


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of the test ResNet with seven classes, changed as told."""

    def save(drop=(), architecture=ARCHITECTURE, name="w.safetensors", **replaced):
        torch.manual_seed(3)
        state = timm_library.create_model(architecture, num_classes=7).state_dict()
        state = {
            key: value for key, value in state.items() if not key.startswith(tuple(drop) or "-")
        }
        save_file(state | replaced, tmp_path / name)
        return tmp_path / name

    return save


def features(network, images=IMAGES):
    with torch.no_grad():
        network.eval()
        return network.forward_head(network.forward_features(images), pre_logits=True)


# -- tags ---------------------------------------------------------------------------------------------------------


def test_every_pretrained_tag_is_listed_with_its_facts(registry):
    tags = {card.name: card for card in registry.all(Kind.SOURCE) if card.name.startswith("timm/")}
    assert len(tags) == len(timm_library.list_pretrained()) > 1500
    card = tags["timm/resnet50.a1_in1k"]
    assert (card.architecture, card.pretrained_on, card.domain, card.images) == (
        "resnet50",
        ("imagenet-1k",),
        "consumer",
        1_281_167,
    )
    assert (card.task_type, card.licence, card.input_size, card.scratch) == (
        "classification",
        "apache-2.0",
        224,
        "scratch/resnet50",
    )
    assert tags["timm/convnext_base.clip_laion2b_augreg_ft_in12k_in1k"].pretrained_on == (
        "laion-2b",
        "imagenet-12k",
        "imagenet-1k",
    )
    unknown = tags["timm/mobilenetv5_300m.gemma3n"]
    assert (unknown.pretrained_on, unknown.domain, unknown.images, unknown.task_type) == (
        (),
        None,
        None,
        None,
    )


def test_images_are_those_of_the_largest_stage(registry):
    assert registry.source("timm/convnext_base.fb_in22k_ft_in1k").images == 14_197_122


def test_the_listing_is_computed_once(registry, capsys):
    listing.cache_clear()
    listing()
    assert "Listing timm's models" not in capsys.readouterr().err


def test_an_unknown_tag_names_the_nearest(registry):
    with pytest.raises(UnknownName, match=r"Did you mean timm/resnet50.a1_in1k"):
        registry.source("timm/resnet50.a1_in1")


def test_an_architecture_without_weights_says_what_there_is(registry):
    with pytest.raises(UnknownName, match="say which weights") as raised:
        registry.source("timm/test_vit")
    assert (
        "timm/test_vit.r160_in1k" in raised.value.hint and "scratch/test_vit" in raised.value.hint
    )


def test_options_on_a_tag_reach_its_scratch_reference(registry):
    card = registry.source("timm/mobilenetv2_100.ra_in1k[pad_type=same]")
    assert card.scratch == "scratch/mobilenetv2_100[pad_type=same]"


# -- the Hub ------------------------------------------------------------------------------------------------------

HUB_PROGRAM = """
import json
import headwater as hw
from headwater.registry.errors import WeightsError
registry = hw.Registry.discover()
network = registry.source("timm/test_resnet.r160_in1k").network(64)
print(json.dumps({name: float(value.double().sum()) for name, value in network.state_dict().items()}))
try:
    registry.source("timm/test_vit.r160_in1k").network(64)
except WeightsError as error:
    print(json.dumps([error.message, error.hint]))
"""


def from_hub(home, endpoint):
    environment = {
        key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")
    }
    environment |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint}
    done = subprocess.run(
        [sys.executable, "-c", HUB_PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_hub_weights_are_loaded_and_serve_again_without_the_hub(tmp_path):
    torch.manual_seed(5)
    network = timm_library.create_model(ARCHITECTURE)
    repository = tmp_path / "models/timm/test_resnet.r160_in1k"
    repository.mkdir(parents=True)
    save_file(network.state_dict(), repository / "model.safetensors")
    wanted = {
        name: float(value.double().sum())
        for name, value in network.state_dict().items()
        if not name.startswith("fc.")
    }
    with fake_hub(tmp_path) as endpoint:
        online, refusal = from_hub(tmp_path / "home", endpoint)
    offline, outage = from_hub(tmp_path / "home", endpoint)
    assert online == pytest.approx(wanted) and offline == pytest.approx(wanted)
    for message, hint in (refusal, outage):
        assert missing_facts(message, "timm/test_vit.r160_in1k", "could not be fetched") == []
        assert "HF_ENDPOINT" in hint and "timm/test_vit[weights=PATH]" in hint


# -- local files --------------------------------------------------------------------------------------------------


def test_a_local_file_is_loaded_tensor_by_tensor(registry, saved):
    path = saved()
    card = registry.source(f"timm/{ARCHITECTURE}[weights={path}]")
    assert (card.weights, card.task_type, card.scratch) == (
        str(path),
        "classification",
        f"scratch/{ARCHITECTURE}",
    )
    torch.manual_seed(3)
    reference = timm_library.create_model(ARCHITECTURE, num_classes=7)
    assert torch.equal(features(card.network(64)), features(reference))


def test_the_classifier_has_the_size_in_the_file(saved):
    assert hw.timm_model(ARCHITECTURE, saved(), head=True)(IMAGES).shape == (2, 7)


def test_half_precision_weights_compute_in_float32(registry, saved):
    path = saved()
    save_file(
        {
            key: value.half() if value.is_floating_point() else value
            for key, value in load_file(path).items()
        },
        path,
    )
    assert (
        features(registry.source(f"timm/{ARCHITECTURE}[weights={path}]").network(64)).dtype
        == torch.float32
    )


def test_a_trunk_is_cut_where_the_file_ends_and_scratch_is_cut_too(registry, saved):
    path = saved(drop=("conv_head", "bn2", "classifier"), architecture="test_efficientnet")
    card = registry.source(f"timm/test_efficientnet[weights={path}]")
    assert card.scratch == "scratch/test_efficientnet[cut=conv_head+bn2]"
    trunk = timm_library.create_model("test_efficientnet").blocks[-1][-1].conv_pwl.out_channels
    assert (
        features(card.network(64)).shape
        == features(registry.source(card.scratch).network(64)).shape
        == (2, trunk)
    )
    assert card.task_type is None


def test_a_gap_inside_the_network_is_an_error(registry, saved):
    path = saved(drop=("layer2.",))
    with pytest.raises(WeightsError, match=r"lacks \d+ tensors, 'layer2.0") as raised:
        registry.source(f"timm/{ARCHITECTURE}[weights={path}]")
    assert "end of the network" in raised.value.hint


def test_half_a_module_missing_is_an_error_even_at_the_end(registry, saved):
    path = saved(drop=("layer4.0.conv1",))
    with pytest.raises(WeightsError, match=r"layer4.0.conv1.weight"):
        registry.source(f"timm/{ARCHITECTURE}[weights={path}]")


def test_a_tensor_of_the_wrong_shape_is_named_with_both_shapes(registry, saved):
    path = saved(**{"bn1.weight": torch.ones(5)})
    with pytest.raises(
        WeightsError, match=r"tensor 'bn1.weight' has shape \[5\], test_resnet wants \[\d+\]"
    ):
        registry.source(f"timm/{ARCHITECTURE}[weights={path}]")


def test_a_tensor_the_architecture_has_not_is_named(registry, saved):
    with pytest.raises(WeightsError, match=r"tensor 'layer9.weight' .*test_resnet"):
        registry.source(f"timm/{ARCHITECTURE}[weights={saved(**{'layer9.weight': torch.ones(1)})}]")


def test_a_missing_file_is_an_error_when_the_name_is_read(registry):
    with pytest.raises(WeightsError, match=r"no weights file at /nowhere/w.pth"):
        registry.source(f"timm/{ARCHITECTURE}[weights=/nowhere/w.pth]")


def test_facts_in_the_name_are_on_the_card(registry, saved):
    facts = "domain=aerial,images=500,pretrained_on=eurosat+rsscn7,mean=0.5,std=0.25,licence=mit"
    card = registry.source(f"timm/{ARCHITECTURE}[weights={saved()},{facts}]")
    assert (card.domain, card.images, card.pretrained_on, card.licence) == (
        "aerial",
        500,
        ("eurosat", "rsscn7"),
        "mit",
    )
    assert (card.mean, card.std) == ((0.5,) * 3, (0.25,) * 3)
    with pytest.raises(BadName, match=r"images .* type int"):
        registry.source(f"timm/{ARCHITECTURE}[weights={saved()},images=many]")


def test_the_scratch_reference_is_fed_as_its_source_is(registry, saved):
    card = registry.source(f"timm/{ARCHITECTURE}[weights={saved()},mean=0.5,std=0.25]")
    assert card.scratch == f"scratch/{ARCHITECTURE}[mean=0.5,std=0.25]"
    scratch = registry.source(card.scratch)
    assert (scratch.mean, scratch.std, scratch.scratch) == (card.mean, card.std, scratch.name)
    scratch.network(64)
    tags = [
        tag
        for tag in registry.all(Kind.SOURCE)
        if tag.name.startswith("timm/") and len({*tag.mean}) == len({*tag.std}) == 1
    ]
    assert all(registry.source(tag.scratch).mean == tag.mean for tag in tags[::20])
    with pytest.raises(BadName, match="scratch source has no images"):
        registry.source(f"scratch/{ARCHITECTURE}[images=5]")


def test_another_file_under_the_same_name_is_another_source(registry, saved):
    name = f"timm/{ARCHITECTURE}[weights={saved()}]"
    before = registry.source(name).identity()
    width = registry.source(name).network(64).bn1.num_features
    saved(**{"bn1.weight": torch.full((width,), 2.0)})
    assert registry.source(name).identity() != before


# -- random initialisation ----------------------------------------------------------------------------------------


def test_scratch_is_random_by_seed_and_its_own_reference(registry):
    card = registry.source(f"scratch/{ARCHITECTURE}")
    assert (card.random, card.scratch, card.images) == (True, card.name, 0)
    built = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        built.append(features(card.network(64)))
    assert torch.equal(built[0], built[1]) and not torch.equal(built[0], built[2])


def test_networks_of_one_size_are_made_for_the_size_asked_for(registry):
    assert features(registry.source("scratch/test_vit").network(64)).shape == (2, 64)


def test_a_vit_file_is_resized_with_its_position_embedding(registry, saved):
    card = registry.source(f"timm/test_vit[weights={saved(architecture='test_vit')}]")
    assert features(card.network(64)).shape == (2, 64)


def test_an_option_timm_does_not_take_is_named(registry):
    with pytest.raises(
        BadName,
        match=r"timm cannot make test_resnet\[.*unheard_of=1.*unexpected keyword argument 'unheard_of'",
    ):
        registry.source(f"scratch/{ARCHITECTURE}[unheard_of=1]").network(64)


@pytest.mark.parametrize(
    "option", ["num_classes=10", "pretrained=true", "checkpoint_path=x.pth", "in_chans=1"]
)
def test_options_that_are_not_the_users_are_refused(registry, option):
    with pytest.raises(BadName, match="cannot be set here"):
        registry.source(f"scratch/{ARCHITECTURE}[{option}]")


def test_a_cut_of_an_unknown_module_lists_the_modules(registry):
    with pytest.raises(BadName, match="no module 'hat' to cut") as raised:
        registry.source(f"scratch/{ARCHITECTURE}[cut=hat]").network(64)
    assert "layer4" in raised.value.hint


def test_an_unknown_architecture_names_the_nearest(registry):
    with pytest.raises(UnknownName, match="Did you mean scratch/resnet18"):
        registry.source("scratch/resnet81")


def test_a_relative_path_is_also_looked_for_beside_the_plugin(saved, tmp_path, monkeypatch):
    saved(name="beside.safetensors")
    (tmp_path / "lab.py").write_text(
        "import headwater as hw\n"
        f"@hw.source_model('lab/net', architecture='{ARCHITECTURE}')\n"
        f"def build():\n    return hw.timm_model('{ARCHITECTURE}', weights='beside.safetensors')\n"
    )
    monkeypatch.chdir("/")
    assert (
        features(hw.Registry.discover([tmp_path / "lab.py"]).source("lab/net").network(64)).shape[0]
        == 2
    )
