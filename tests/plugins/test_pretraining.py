"""What timm's tags say."""

from __future__ import annotations

import pytest

from headwater.plugins.models.pretraining import stages


@pytest.mark.parametrize(
    ("tag", "corpora"),
    [
        ("a1_in1k", ["imagenet-1k"]),
        ("augreg_in21k_ft_in1k", ["imagenet-21k", "imagenet-1k"]),
        ("clip_laion2b_soup_ft_in12k_in1k_320", ["laion-2b", "imagenet-12k", "imagenet-1k"]),
        ("fcmae_ft_in22k_in1k_384", ["imagenet-1k", "imagenet-21k", "imagenet-1k"]),
        ("mim_in22k_ft_in22k_in1k", ["imagenet-21k", "imagenet-1k"]),
        ("miil_in21k", ["imagenet-21k-p"]),
        ("miil_green_in1k", ["imagenet-1k"]),
        ("ns_jft_in1k_475", ["jft-300m", "imagenet-1k"]),
        ("fb_swsl_ig1b_ft_in1k", ["instagram-1b", "imagenet-1k"]),
        ("apple_mclip2_dfndr2b", ["dfndr-2b"]),
        ("openai", ["openai-wit"]),
        ("v2_webli", ["webli"]),
        ("dinov3_lvd1689m", ["lvd-1689m"]),
        ("qwen3_vl_4b", []),
    ],
)
def test_a_tag_names_its_corpora_in_the_order_of_training(tag, corpora):
    assert [corpus.name for corpus in stages(tag)] == corpora


def test_numbers_and_domains_are_the_published_ones():
    assert [(c.images, c.domain) for c in stages("laion2b_ft_in1k")] == [
        (2_322_161_807, "web"),
        (1_281_167, "consumer"),
    ]
    assert stages("sat493m")[0].domain == "aerial"
