"""Devices: which are there, and what is said when one fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from networks import image, run, table, weights

from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from ciegan.models.resunet import ResidualUNet
from ciegan.network.device import DeviceError, choose_device, device_errors


def there(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)


def test_auto_takes_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch)
    assert choose_device("auto") == torch.device("cpu")
    there(monkeypatch, mps=True)
    assert choose_device("auto") == torch.device("mps")
    there(monkeypatch, cuda=2, mps=True)
    assert choose_device("auto") == torch.device("cuda", 0)


def test_devices_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, cuda=2)
    assert choose_device("cuda") == torch.device("cuda", 0)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(CellqaError, match=r"cuda:2: there are 2 CUDA devices here, from cuda:0"):
        choose_device("cuda:2")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda", "no CUDA device"),
        ("cuda:1", "no CUDA device"),
        ("mps", "no Apple device"),
        ("gpu", "take auto, cpu, cuda"),
        ("cuda:", "take auto, cpu, cuda"),
    ],
)
def test_what_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    there(monkeypatch)
    with pytest.raises(CellqaError, match=message):
        choose_device(name)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: unspecified launch failure\nmore",
        "CUDA error: CUDA-capable device(s) is/are busy or unavailable",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    ],
)
def test_a_device_that_fails_is_one_line(message: str) -> None:
    with pytest.raises(DeviceError, match="busy, failed or was lost") as caught, device_errors():
        raise RuntimeError(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("message", ["expected 3 channels", "CUDA out of memory. Tried to"])
def test_other_errors_stay_what_they_are(message: str) -> None:
    with pytest.raises(RuntimeError, match=message), device_errors():
        raise RuntimeError(message)


def test_a_device_lost_in_the_middle_ends_the_run_which_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = weights(tmp_path / "best.safetensors")
    for k in range(8):
        write_tiff(tmp_path / f"in/{k}.tif", image(np.uint8), 0.25)
    forward, calls = ResidualUNet.forward, []

    def failing(self: ResidualUNet, images: torch.Tensor) -> torch.Tensor:
        calls.append(images.shape)
        if len(calls) > 4:  # the first is of a look at the memory it takes
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return forward(self, images)

    monkeypatch.setattr(ResidualUNet, "forward", failing)
    lost = run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert lost.exit_code == 1
    errors = [line for line in lost.stderr.splitlines() if line]
    assert len(errors) == 1, lost.stderr
    assert "the device is busy, failed or was lost" in errors[0]
    done = sorted(path.name for path in (tmp_path / "out").glob("*.tif"))
    assert len(done) < 8
    assert not list((tmp_path / "out").glob(".cellqa-*"))

    monkeypatch.setattr(ResidualUNet, "forward", forward)
    again = run(model, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert again.exit_code == 0, again.output
    assert len(list((tmp_path / "out").glob("*.tif"))) == 8
    skipped = [name for name, row in table(tmp_path / "out").items() if row["status"] == "skipped"]
    assert sorted(skipped) == done
