"""Weights files: what is read, and what is refused."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from headwater import WeightsError, source_model
from headwater.plugins.models.weights import shapes_of, tensors_of

TENSORS = {"a.weight": torch.ones(2, 3, dtype=torch.float16), "a.steps": torch.tensor(7)}


class RunsCode:
    def __reduce__(self):
        return os.system, ("touch ran-code",)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_half_precision_is_read_as_float32_and_whole_numbers_stay(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    save_file(TENSORS, path) if suffix == "safetensors" else torch.save(TENSORS, path)
    read = tensors_of(path)
    assert read["a.weight"].dtype == torch.float32 and read["a.weight"].sum() == 6
    assert read["a.steps"].dtype == torch.int64 and read["a.steps"] == 7
    assert shapes_of(path) == {"a.weight": (2, 3), "a.steps": ()}


def test_a_training_checkpoint_is_unwrapped(tmp_path):
    torch.save({"epoch": 3, "state_dict": {"module.a": torch.zeros(1)}}, tmp_path / "c.pth")
    assert list(tensors_of(tmp_path / "c.pth")) == ["a"]


def test_a_pickle_that_executes_code_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": RunsCode()}, "evil.pth")
    with pytest.raises(WeightsError, match="refused") as raised:
        tensors_of(tmp_path / "evil.pth")
    assert "save_file" in raised.value.hint
    assert not (tmp_path / "ran-code").exists()


@pytest.mark.filterwarnings("error")
def test_a_plain_pickle_that_executes_code_does_not_run_and_is_no_torch_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(RunsCode(), protocol=4))
    with pytest.raises(WeightsError, match=r"no torch file; nothing .* run"):
        tensors_of(tmp_path / "evil.pkl")
    assert not (tmp_path / "ran-code").exists()


def test_bytes_that_are_no_pickle_are_no_torch_file(tmp_path):
    (tmp_path / "garbage.pth").write_bytes(
        b"hello" * 100
    )  # the unpickler's own error was the number 101
    with pytest.raises(WeightsError, match="it is no torch file"):
        tensors_of(tmp_path / "garbage.pth")


def test_a_whole_pickled_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "m.pt")
    with pytest.raises(WeightsError, match="refused"):
        tensors_of(tmp_path / "m.pt")


@pytest.mark.parametrize(
    "content",
    [b"\x00" * 40, b"<html>not found</html>", b"version https://git-lfs.github.com/spec/v1"],
)
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, suffix, content):
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read") as raised:
        tensors_of(path)
    assert str(path) in raised.value.message


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_cut_short_is_damaged(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    save_file(TENSORS, path) if suffix == "safetensors" else torch.save(TENSORS, path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(WeightsError, match="cannot be read"):
        shapes_of(path)


def test_missing_and_empty_files_say_so(tmp_path):
    with pytest.raises(WeightsError, match="there is no weights file"):
        tensors_of(tmp_path / "none.pth")
    (tmp_path / "empty.pth").touch()
    with pytest.raises(WeightsError, match="is empty"):
        tensors_of(tmp_path / "empty.pth")


def test_a_file_without_tensors_by_name_says_how_to_save(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="hold tensors by name"):
        tensors_of(tmp_path / "list.pth")


def test_a_weights_file_that_a_plugin_names_and_that_is_missing_is_an_error_of_its_source(tmp_path):
    path = tmp_path / "none.safetensors"
    source = source_model("lab/net", weights=str(path))(dict)
    with pytest.raises(WeightsError, match="no weights file") as raised:
        source.identity()
    assert raised.value.subject == "lab/net" and str(path) in str(raised.value)
    assert "weights=" in raised.value.hint
