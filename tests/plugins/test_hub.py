"""The Hub that does not answer: its clients use their cache, at once, and only for as long as asked."""

from __future__ import annotations

import tomllib
from pathlib import Path

import datasets
import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from headwater.plugins import hub

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_clients_are_offline_while_the_hub_does_not_answer(monkeypatch, tmp_path):
    """``hub_or_cache`` sets constants of two libraries: a version that ignores them fails here."""
    monkeypatch.setattr(hub, "hub_answers", lambda: False)
    with hub.hub_or_cache():
        assert datasets.config.HF_HUB_OFFLINE
        with pytest.raises(OfflineModeIsEnabled):
            huggingface_hub.get_session().get("https://huggingface.co")
        with pytest.raises(LocalEntryNotFoundError):
            huggingface_hub.hf_hub_download("someone/something", "a.txt", cache_dir=tmp_path)
        with pytest.raises(Exception, match=r"(?i)offline"):
            datasets.load_dataset("someone/something", cache_dir=str(tmp_path))
    assert not datasets.config.HF_HUB_OFFLINE and not huggingface_hub.constants.HF_HUB_OFFLINE


def test_an_answer_leaves_the_clients_online(monkeypatch):
    monkeypatch.setattr(hub, "hub_answers", lambda: True)
    with hub.hub_or_cache():
        assert not huggingface_hub.constants.HF_HUB_OFFLINE


@pytest.mark.parametrize("library", ["datasets", "huggingface_hub"])
def test_libraries_whose_constants_are_set_have_an_upper_bound(library):
    needed = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]["run"]
    bounds = next(line for line in needed if line.startswith(library))
    assert "<" in bounds
