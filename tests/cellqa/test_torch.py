"""The judge in a training loop: what torchmetrics' users expect, with cellqa's numbers."""

import math
import multiprocessing
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

import cellqa
from cellqa.torch import Judge

TARGET = torch.rand(6, 1, 64, 64, generator=torch.Generator().manual_seed(1))
PRED = (0.8 * TARGET + 0.05).requires_grad_()


def test_batches_are_as_all_at_once() -> None:
    judge = Judge(["psnr", "ssim"], prefix="val/")
    for k in (0, 2, 4):
        judge.update(PRED[k : k + 2], TARGET[k : k + 2])
    values = judge.compute()
    frame = cellqa.score(PRED, TARGET, metrics=["psnr", "ssim"]).frame
    for name, value in values.items():
        assert value.shape == ()
        mean = frame.query("method == 'image'")[name.removeprefix("val/")].mean()
        assert value.item() == pytest.approx(mean, rel=1e-12)
    assert judge.higher_is_better == {"val/psnr": True, "val/ssim": True}
    assert len(judge.scores().frame) == 6


def test_reset_forgets_and_nothing_is_no_number() -> None:
    judge = Judge(["psnr"])
    judge.update(PRED, TARGET)
    judge.reset()
    with pytest.raises(RuntimeError, match="without an image"):
        judge.compute()
    judge.update(TARGET[:2], TARGET[:2])
    assert judge.compute()["psnr"].item() == math.inf  # identical images
    judge.update(PRED[:1], TARGET[:1])
    assert math.isfinite(judge.compute()["psnr"].item())


def test_a_call_gives_the_batch_and_keeps_it() -> None:
    judge = Judge(["psnr"])
    first, second = judge(PRED[:1], TARGET[:1]), judge(PRED[1:2], TARGET[1:2])
    mean = (first["psnr"] + second["psnr"]) / 2
    assert judge.compute()["psnr"].item() == pytest.approx(mean.item(), rel=1e-12)


def test_it_is_a_module_without_weights() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3))
    names = set(model.state_dict())
    model.judge = Judge(["psnr"])
    assert set(model.state_dict()) == names
    assert "psnr; 0 images" in repr(model)


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(ValueError, match="psnr needs ground truth"):
        Judge(["psnr"]).update(PRED)
    with pytest.raises(ValueError, match="no metric is called"):
        Judge(["psnrr"])
    with pytest.raises(ValueError, match="come batch by batch"):
        Judge(data_range="set")
    judge = Judge(["entropy"])
    judge.update(PRED)
    with pytest.raises(ValueError, match="batches must have the same parts"):
        judge.update(PRED, TARGET)
    judge, broken = Judge(["psnr"]), PRED.detach().clone()
    broken[0, 0, 3, 3] = math.nan
    judge.update(broken, TARGET)
    with pytest.warns(UserWarning, match="1 of 6 images could not be scored"):
        found = judge.compute()["psnr"].item()
    rest = Judge(["psnr"])
    rest.update(PRED[1:], TARGET[1:])
    assert found == pytest.approx(rest.compute()["psnr"].item(), rel=1e-12)


class Net(lightning.LightningModule):
    """As somebody else's: one convolution, judged by cellqa."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 1, 3, padding=1)
        self.judge = Judge(["psnr", "ssim"], prefix="val/", data_range=1.0)

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def validation_step(self, batch: Any, index: int) -> None:
        self.judge.update(self.layer(batch[0]), batch[1])

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.judge.compute())
        self.judge.reset()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


def test_lightning_logs_it_and_stops_by_it(tmp_path: Path) -> None:
    data = DataLoader(TensorDataset(PRED.detach(), TARGET), batch_size=3)
    logger = CSVLogger(tmp_path)
    stop = lightning.pytorch.callbacks.EarlyStopping("val/ssim", mode="max")
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=logger,
        callbacks=[stop],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
    )
    net = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's own, of workers and intervals
        trainer.fit(net, data, data)
    logged = trainer.callback_metrics
    found = cellqa.score(net.layer(PRED), TARGET, metrics=["psnr", "ssim"], data_range=1.0)
    for name in ("psnr", "ssim"):
        mean = found.frame.query("method == 'image'")[name].mean()
        # loggers hold what they are given in single precision
        assert logged[f"val/{name}"].item() == pytest.approx(mean, rel=1e-6)
    assert "val/ssim" in (Path(logger.log_dir) / "metrics.csv").read_text()


def _of_rank(rank: int, store: str, found: Any) -> None:
    from torch import distributed

    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    judge = Judge(["psnr"])
    judge.update(PRED[rank * 3 : rank * 3 + 3].detach(), TARGET[rank * 3 : rank * 3 + 3])
    found.put(judge.compute()["psnr"].item())
    distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")
def test_processes_that_train_together_share_one_mean(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    workers = [
        context.Process(target=_of_rank, args=(rank, str(tmp_path / "store"), found))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    values = [found.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    judge = Judge(["psnr"])
    judge.update(PRED, TARGET)
    assert values == pytest.approx([judge.compute()["psnr"].item()] * 2, rel=1e-12)
    assert np.ptp(values) == 0


def test_without_torch_it_is_one_line() -> None:
    code = "import sys; sys.modules['torch'] = None\nimport cellqa.torch"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "MissingExtraError: cellqa.torch needs torch; install it with: " in found.stderr
    assert found.stderr.strip().endswith("[gan]'")
