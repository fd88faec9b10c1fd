"""Read pre-training data from a timm tag: ``laion2b_ft_in12k_in1k`` -> LAION-2B, ImageNet-12k,
ImageNet-1k.

Numbers of images are those the data sets' authors state; what they do not state stays None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Corpus:
    """A set of images that models are pre-trained on.

    Attributes:
        name: its name.
        images: how many; None where its authors do not say.
        domain: its appearance domain.
        labelled: whether its images have classes, so that it trains a classifier.
    """

    name: str
    images: int | None
    domain: str | None
    labelled: bool = False


IMAGENET_1K = Corpus("imagenet-1k", 1_281_167, "consumer", labelled=True)
IMAGENET_12K = Corpus("imagenet-12k", 12_129_687, "consumer", labelled=True)
IMAGENET_21K = Corpus("imagenet-21k", 14_197_122, "consumer", labelled=True)
IMAGENET_21K_P = Corpus("imagenet-21k-p", 11_797_632, "consumer", labelled=True)
IMAGENET_W21K = Corpus("imagenet-21k-winter", 13_151_276, "consumer", labelled=True)
DATACOMP = Corpus("datacomp-1b", 1_400_000_000, "web")
INSTAGRAM = Corpus("instagram-1b", 940_000_000, "web")

# Patterns of a tag's words, joined by underscores; the first that matches at a place wins.
_CORPORA: dict[str, Corpus] = {
    "miil_in21k": IMAGENET_21K_P,
    "miil_green_in1k": IMAGENET_1K,
    "in1k": IMAGENET_1K,
    "in12k": IMAGENET_12K,
    "in2[12]k": IMAGENET_21K,
    "inw21k": IMAGENET_W21K,
    "laion2b": Corpus("laion-2b", 2_322_161_807, "web"),
    "laion400m": Corpus("laion-400m", 400_000_000, "web"),
    "laiona": Corpus("laion-aesthetic", 900_000_000, "web"),
    "openai": Corpus("openai-wit", 400_000_000, "web"),
    "webli": Corpus("webli", 10_000_000_000, "web"),
    "datacompxl|datacomp1b": DATACOMP,
    "apple_mclip2": Corpus("dfndr-2b", 2_000_000_000, "web"),
    "apple_mclip": Corpus("datacompdr-1b", 1_280_000_000, "web"),
    "dfn2b": Corpus("dfn-2b", 2_000_000_000, "web"),
    "dfn5b": Corpus("dfn-5b", 5_000_000_000, "web"),
    "metaclip_400m": Corpus("metaclip-400m", 400_000_000, "web"),
    "metaclip_2pt5b": Corpus("metaclip-2.5b", 2_500_000_000, "web"),
    "metaclip2_worldwide|metaclip_altogether": Corpus("metaclip", None, "web"),
    "merged2b": Corpus("merged-2b", 2_000_000_000, "web"),
    "m30m": Corpus("merged-30m", 29_600_000, "web"),
    "m38m": Corpus("merged-38m", 38_000_000, "web"),
    "lvd142m": Corpus("lvd-142m", 142_000_000, "web"),
    "lvd1689m": Corpus("lvd-1689m", 1_689_000_000, "web"),
    "sat493m": Corpus("sat-493m", 493_000_000, "aerial"),
    "sa1b": Corpus("sa-1b", 11_000_000, "consumer"),
    "jft": Corpus("jft-300m", 300_000_000, "web"),
    "ig1b": INSTAGRAM,
    "swag": Corpus("instagram-3.6b", 3_600_000_000, "web"),
    "seer": Corpus("instagram-1b-random", 1_000_000_000, "web"),
    "yfcc100m": Corpus("yfcc-100m", 100_000_000, "consumer"),
    "yfcc15m": Corpus("yfcc-15m", 15_000_000, "consumer"),
    "cc12m": Corpus("cc-12m", 12_000_000, "web"),
    "bamboo": Corpus("bamboo", None, "web"),
    # Self-supervised recipes that timm's tags name without their data: ImageNet-1k in each.
    "fcmae|mae|dino": Corpus("imagenet-1k", 1_281_167, "consumer"),
}
_PATTERN = re.compile("|".join(f"(?<![a-z0-9])(?:{words})(?![a-z0-9])" for words in _CORPORA))


@lru_cache
def stages(tag: str) -> tuple[Corpus, ...]:
    """Return the corpora of a tag, in the order of training; () if the tag names none that is
    known.
    """
    corpora: list[Corpus] = []
    for match in _PATTERN.finditer(tag):
        words = match.group()
        corpus = next(value for key, value in _CORPORA.items() if re.fullmatch(key, words))
        # "fcmae_ft_in1k" names one corpus twice, by its recipe and by its data.
        if not corpora or corpora[-1].name != corpus.name:
            corpora.append(corpus)
    return tuple(corpora)
