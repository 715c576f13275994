"""Networks that ciegan is compared with: pix2pix, and published weights of Real-ESRGAN."""

import csv
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F  # noqa: N812
from click.testing import CliRunner
from torch import Tensor, nn

from cellqa.errors import CellqaError
from cellqa.io import write_tiff
from ciegan.cli import main
from ciegan.config import PRESETS, from_dict
from ciegan.models import PatchGAN, Pix2PixGenerator
from ciegan.models.rrdbnet import DenseBlock, ResidualDenseBlock, RRDBNet
from ciegan.network.checkpoint import load
from ciegan.network.normalisation import Normalisation
from ciegan.network.realesrgan import RealESRGAN
from ciegan.network.runner import Runner
from ciegan.network.windows import enhance_plane
from ciegan.training.run import train
from ciegan.training.schedule import phase

UNIT = Normalisation("range", 0.0, 1.0)
GREY_LEVEL = 1 / 255  # of the range


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def strong(network: nn.Module, gain: float = 1.0) -> Any:
    """Weights that keep what is deep within as loud as the image, so that all of it counts."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(module.weight, a=0.2)
            with torch.no_grad():
                module.weight *= gain
    return network.eval().requires_grad_(False)


# pix2pix


def test_sizes_of_pix2pix() -> None:
    # 16 convolutions without bias 54,404,096, the last bias 3, 4,928 normalised features twice
    assert parameters(Pix2PixGenerator(3)) == 54_404_096 + 3 + 2 * 4_928 == 54_413_955
    # five convolutions 2,766,848, biases of the first and last 65, 896 normalised features twice
    judge = PatchGAN(3, width=64, norm="batch")
    assert parameters(judge) == 2_766_848 + 65 + 2 * 896 == 2_768_705


def test_weights_are_drawn_as_in_the_paper() -> None:
    torch.manual_seed(0)
    for network in (Pix2PixGenerator(1, width=16), PatchGAN(1, width=32, norm="batch")):
        scales = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        drawn = [p.detach().flatten() for p in network.parameters() if p.ndim == 4]
        assert float(torch.cat(drawn).std()) == pytest.approx(0.02, rel=0.01)
        gains = torch.cat([m.weight for m in scales]).detach()
        assert float(gains.mean()) == pytest.approx(1, abs=0.01)
        assert float(gains.std()) == pytest.approx(0.02, rel=0.2)
        assert all(not m.bias.any() for m in scales)


def test_a_logit_judges_70_pixels() -> None:
    network = PatchGAN(1, width=4, norm="batch").eval().double()
    images = torch.randn(1, 1, 256, 256, dtype=torch.double, requires_grad=True)
    logits, features = network(images, images.detach())
    assert logits.shape == (1, 1, 30, 30)
    assert len(features) == 4
    (gradient,) = torch.autograd.grad(logits[0, 0, 15, 15], images)
    rows, columns = gradient[0, 0].nonzero().T
    assert int(rows.max() - rows.min()) + 1 == int(columns.max() - columns.min()) + 1 == 70


def test_the_preset() -> None:
    config = PRESETS["pix2pix"]
    assert config.losses.weights == {
        "l1": 100,
        "adversarial": 1,
    }
    assert phase(0, config.schedule).name == "both"
    rates = config.optimizer.rate, config.optimizer.discriminator_rate
    assert rates == (2e-4, 2e-4)
    assert (config.optimizer.beta1, config.optimizer.beta2) == (0.5, 0.999)
    with torch.device("meta"):
        assert config.data.crop == Pix2PixGenerator(1).stride == 256


def test_dropout_is_for_training_alone() -> None:
    network = strong(Pix2PixGenerator(1, width=4, depth=4))
    images = torch.rand(2, 1, 64, 64) * 2 - 1
    assert torch.equal(network(images), network(images))
    network.train()
    assert float((network(images) - network(images)).abs().max()) > 1e-3


def test_the_radius_of_all_eight_levels_is_exact() -> None:
    network = Pix2PixGenerator(1, width=1).eval().double()
    images = torch.randn(1, 1, 256, 2048, dtype=torch.double, requires_grad=True)
    found = network(images)
    reach = []
    for place in (1024, 1025, 1278, 1279):
        (gradient,) = torch.autograd.grad(found[0, 0, 100, place], images, retain_graph=True)
        reach.append(int((gradient[0, 0].nonzero()[:, 1] - place).abs().max()))
    assert max(reach) == network.radius == 765


def test_results_of_pix2pix_do_not_depend_on_the_tile() -> None:
    network = strong(Pix2PixGenerator(1, width=4))
    pixels = np.random.default_rng(0).random((2500, 200)).astype(np.float32)
    whole = enhance_plane(network, pixels, UNIT, tile=4096)
    for tile in (64, 512):
        found = enhance_plane(network, pixels, UNIT, tile=tile)
        # float32 sums in another order
        assert np.abs(found - whole).max() < 1e-4
    network.radius = 255  # what is deep within counts
    assert np.abs(enhance_plane(network, pixels, UNIT, tile=64) - whole).max() > 1e-3


def test_batch_statistics_take_the_whole_image() -> None:
    network = strong(Pix2PixGenerator(1, width=4, depth=4, batch_statistics=True))
    assert not network.local
    pixels = np.random.default_rng(0).random((100, 90)).astype(np.float32)
    whole = enhance_plane(network, pixels, UNIT)
    assert (enhance_plane(network, pixels, UNIT, tile=32) == whole).all()
    images = torch.rand(3, 1, 64, 64) * 2 - 1
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    assert float((network(images)[:1] - network(images[:1])).abs().max()) > 1e-3
    assert all(torch.equal(kept[name], value) for name, value in network.state_dict().items())


def test_pix2pix_trains_from_the_first_step(prepared: Path, tmp_path: Path) -> None:
    settings = {
        "preset": "pix2pix",
        "data": {"crop": 32, "batch_size": 2},
        "generator": {"options": {"width": 4, "depth": 4}},
        "discriminator": {"options": {"width": 4, "norm": "batch"}},
        "schedule": {"steps": 2},
        "monitor": {"every": 2, "images": 1, "samples": 0},
    }
    train(prepared, tmp_path / "run", from_dict(settings))
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    losses = {name: float(row[f"loss_{name}"]) for name in ("l1", "adversarial", "discriminator")}
    assert losses["l1"] > 0
    # what is not sure yet: log 2 for each answer
    assert losses["adversarial"] == pytest.approx(np.log(2), rel=0.5)
    assert losses["discriminator"] == pytest.approx(2 * np.log(2), rel=0.5)
    found = load(tmp_path / "run")
    assert isinstance(found.generator, Pix2PixGenerator)
    assert found.config.preset == "pix2pix"


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="`depth` must be 2 or more"):
        Pix2PixGenerator(1, depth=1)
    with pytest.raises(ValueError, match="`norm` must be spectral or batch"):
        PatchGAN(1, norm="group")
    with pytest.raises(ValueError, match="`scale` must be 1, 2 or 4"):
        RRDBNet(1, 3)


# Real-ESRGAN


@pytest.mark.parametrize(
    ("blocks", "scale", "number"),
    [(23, 4, 16_697_987), (23, 2, 16_703_171), (6, 4, 4_467_779)],
)
def test_sizes_of_the_published_weights(blocks: int, scale: int, number: int) -> None:
    # dense block 239,808; three of them; around the blocks 151,235; 9 x 9 x 64 more for scale 2
    around = 151_235 + (9 * 9 * 64 if scale == 2 else 0)
    with torch.device("meta"):
        assert parameters(RRDBNet(blocks, scale)) == 3 * blocks * 239_808 + around == number


def test_layers_have_the_published_names() -> None:
    with torch.device("meta"):
        names = {name.removesuffix(".weight") for name in RRDBNet(2).state_dict()}
    dense = {f"rdb{j}.conv{k}" for j in (1, 2, 3) for k in (1, 2, 3, 4, 5)}
    around = {"first", "body", "up1", "up2", "hr", "last"}
    expected = {f"conv_{name}" for name in around} | {
        f"body.{i}.{d}" for i in (0, 1) for d in dense
    }
    assert {name for name in names if not name.endswith(".bias")} == expected


def test_a_dense_block_is_its_formula() -> None:
    torch.manual_seed(0)
    block = DenseBlock().double()
    x = torch.randn(1, 64, 6, 5, dtype=torch.double)
    made = [x]
    with torch.no_grad():
        for k in range(1, 5):
            layer = getattr(block, f"conv{k}")
            made.append(F.leaky_relu(layer(torch.cat(made, 1)), 0.2))
        torch.testing.assert_close(block(x), 0.2 * block.conv5(torch.cat(made, 1)) + x)
        outer = ResidualDenseBlock().double()
        for each in (outer.rdb1, outer.rdb2, outer.rdb3):
            nn.init.zeros_(each.conv5.weight)
            nn.init.zeros_(each.conv5.bias)  # type: ignore[arg-type]
        torch.testing.assert_close(outer(x), 1.2 * x)  # 0.2 of what passed the blocks, and x


def published(path: Path, within: str | None = "params_ema", **kwargs: int) -> RRDBNet:
    """Seeded weights in a file of the published kind."""
    torch.manual_seed(0)
    network = RRDBNet(**{"blocks": 1, **kwargs})
    state = network.state_dict()
    torch.save({within: state} if within else state, path)
    return network.eval()


@pytest.mark.parametrize("within", ["params_ema", "params", None])
@pytest.mark.parametrize(("blocks", "scale"), [(1, 4), (2, 2), (1, 1)])
def test_weights_are_read(tmp_path: Path, within: str | None, blocks: int, scale: int) -> None:
    path = tmp_path / "RealESRGAN.pth"
    network = published(path, within, blocks=blocks, scale=scale)
    found = load(path)
    assert found.config.generator.options == {"blocks": blocks, "scale": scale}
    assert found.normalisation.rule == "image"
    assert not found.generator.training
    assert found.generator.stride == 4 // scale
    images = torch.rand(2, 1, 12, 16) * 2 - 1
    with torch.inference_mode():
        large = network(torch.cat(3 * [(images + 1) / 2], dim=1))
        assert large.shape == (2, 3, 12 * scale, 16 * scale)
        blocks_of_pixels = large.unflatten(3, (16, scale)).unflatten(2, (12, scale))
        means = blocks_of_pixels.mean((3, 5))
        grey = means[:, 0] * 0.299 + means[:, 1] * 0.587 + means[:, 2] * 0.114
        # float32 sums in another order
        torch.testing.assert_close(found.generator(images)[:, 0], 2 * grey - 1, rtol=0, atol=1e-5)


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    state = RRDBNet(1).state_dict()
    averaged = {name: torch.full_like(value, 0.25) for name, value in state.items()}
    torch.save({"params": state, "params_ema": averaged}, tmp_path / "a.pth")
    found = load(tmp_path / "a.pth").generator.state_dict()
    assert all((value == 0.25).all() for value in found.values())


class Bomb:
    def __reduce__(self) -> object:
        return print, ("code of a pickle ran",)


def test_code_is_refused_and_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.pth"
    network = published(path)
    for content in (Bomb(), {"params": Bomb()}, network):  # a whole module is a pickle, too
        torch.save(content, path)
        with pytest.raises(CellqaError, match=r"could run code and is not run$"):
            load(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CellqaError, match=r"could run code and is not run$"):
        load(path)
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize("size", [0, 100, 100_000, -1000])
def test_truncated(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.pth"
    published(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CellqaError, match=r"a\.pth: cannot be loaded .* damaged"):
        load(path)


KEY = "body.0.rdb2.conv3.weight"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({KEY: None}, "body.0.rdb2.conv3.weight is missing"),
        ({KEY: torch.zeros(32, 128, 3, 1)}, r"must be of shape \(32, 128, 3, 3\), got"),
        ({KEY: torch.zeros(32, 128, 3, 3, dtype=torch.int)}, "must hold finite numbers"),
        ({KEY: torch.full((32, 128, 3, 3), float("nan"))}, "must hold finite numbers"),
        ({KEY: torch.zeros(32, 128, 3, 3).to_sparse()}, "is missing or no tensor"),
        ({KEY: "text"}, "is missing or no tensor"),
        ({"conv_first.weight": torch.zeros(64, 4, 3, 3)}, "conv_first.weight must see 3, 12 or 48"),
        ({"conv_first.weight": None}, "conv_first.weight must see"),
        ({"body.x.weight": torch.zeros(1)}, "body.1.rdb1.conv1.bias is missing"),
        ({"up\n": torch.zeros(1)}, r"up\\x0a is not of it"),
        ({3: torch.zeros(1)}, "no table of weights"),
    ],
)
def test_other_weights_are_named(tmp_path: Path, changes: dict[Any, Any], message: str) -> None:
    state: dict[Any, Any] = {**RRDBNet(1).state_dict(), **changes}
    path = tmp_path / "a.pth"
    torch.save({"params": {k: v for k, v in state.items() if v is not None}}, path)
    with pytest.raises(CellqaError, match=message) as raised:
        load(path)
    assert "\n" not in str(raised.value)
    torch.save([1, 2], path)
    with pytest.raises(CellqaError, match="no table of weights"):
        load(path)


@pytest.mark.parametrize("scale", [4, 2])
def test_windows_differ_by_less_than_a_grey_level(scale: int) -> None:
    network = strong(RealESRGAN(6, scale), 1.5)
    assert network.radius == 32 * network.stride
    pixels = np.random.default_rng(0).random((200 * network.stride, 24)).astype(np.float32)
    whole = enhance_plane(network, pixels, UNIT, tile=4096)
    tiles = enhance_plane(network, pixels, UNIT, tile=64)
    assert np.abs(tiles - whole).max() < GREY_LEVEL * np.ptp(whole)
    assert np.ptp(whole) > 1


def test_windows_fit_into_memory() -> None:
    with torch.device("meta"):
        network = RealESRGAN()
    side = Runner(network).window
    assert side**2 * network.bytes_of_a_pixel() <= 1.2e9


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_enhance_with_published_weights(tmp_path: Path) -> None:
    weights = tmp_path / "RealESRGAN_x2plus.pth"
    published(weights, scale=2)
    source = tmp_path / "in"
    pixels = np.random.default_rng(0).integers(100, 4000, (37, 50)).astype(np.uint16)
    write_tiff(source / "grey.tif", pixels, 0.2)
    write_tiff(source / "colour.tif", np.stack([pixels, pixels, pixels[::-1]], axis=-1), 0.2)
    found = run("enhance", weights, source, tmp_path / "out")
    assert found.exit_code == 3, found.output
    assert "learned from photographs" in found.stderr
    with (tmp_path / "out" / "enhanced.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert rows["grey.tif"]["status"] == "ok"
    assert "3 samples a pixel" in rows["colour.tif"]["reason"]
    with tifffile.TiffFile(tmp_path / "out" / "grey.tif") as file:
        assert file.asarray().shape == (37, 50)
        assert file.asarray().dtype == np.uint16
        assert "generator real-esrgan, preset real-esrgan" in str(file.pages[0].description)


def test_published_weights_are_not_exported(tmp_path: Path) -> None:
    published(tmp_path / "a.pth")
    found = run("export", tmp_path / "a.pth", tmp_path / "a.onnx", "--to", "onnx")
    assert found.exit_code == 1
    assert "not trained by `ciegan train`" in found.stderr


def test_black_is_0_and_white_1_to_the_network() -> None:
    network = RealESRGAN(1)
    seen: list[Tensor] = []
    network.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(torch.tensor([-1.0, 0.0, 1.0, 0.5]).reshape(1, 1, 2, 2))
    assert seen[0].tolist() == [3 * [[[0.0, 0.5], [1.0, 0.75]]]]
