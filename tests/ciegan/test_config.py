"""Configurations: read, merged, refused."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from cellqa.errors import CellqaError
from ciegan.cli import main
from ciegan.config import (
    DEFAULT,
    PAPER,
    PRESETS,
    Config,
    ConfigError,
    Monitor,
    from_dict,
    preset_on,
    read_config,
    to_toml,
    with_settings,
)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_toml(name: str) -> None:
    config = PRESETS[name]
    assert from_dict(tomllib.loads(to_toml(config))) == config
    assert config.preset == name


def test_what_a_file_does_not_name_is_the_presets(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('preset = "paper"\n[data]\ncrop = 64\n')
    found = read_config(file)
    assert found.data.crop == 64
    assert found.data.batch_size == PAPER.data.batch_size
    assert found.losses == PAPER.losses


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data": {"corp": 64}}, "data.corp is unknown; did you mean crop?"),
        ({"optimiser": {}}, "optimiser is unknown; did you mean optimizer?"),
        ({"data": {"crop": "64"}}, "data.crop must be a whole number, got '64'"),
        ({"data": {"crop": 64.5}}, "data.crop must be a whole number"),
        ({"data": {"crop": True}}, "data.crop must be a whole number"),
        ({"data": {"crop": 4}}, "data.crop must be 16 to 4096, got 4"),
        ({"data": 3}, "data must be a table"),
        ({"data": {"augment": 1}}, "data.augment must be true or false"),
        ({"losses": {"layers": "conv1_2"}}, "losses.layers must be a list of texts"),
        ({"losses": {"gan": "wgan"}}, "losses.gan must be one of non-saturating"),
        ({"losses": {"charbonnier": "1"}}, "losses.charbonnier must be a number"),
        ({"losses": {"gann": "saturating"}}, "losses.gann is unknown; did you mean gan?"),
        ({"losses": {"l1": -1}}, "losses.l1 must be 0 or more"),
        ({"losses": {"l1": True}}, "losses.l1 must be a number"),
        ({"preset": "papers"}, "preset must be one of default, adversarial"),
        ({"monitor": {"metrics": {"sim": 1}}}, "no metric is called 'sim'"),
        ({"monitor": {"metrics": {"gain": 1}}}, "gain has no better and worse"),
        ({"monitor": {"metrics": {"psnr_fg": 1}}}, "psnr_fg needs a mask"),
        ({"monitor": {"metrics": {}}}, "name at least one metric"),
        ({"monitor": {"metrics": {"psnr": "x"}}}, "monitor.metrics.psnr must be a number"),
        ({"schedule": {"generator": 3.5}}, "whole steps, or below 1"),
        ({"precision": "16"}, "precision must be one of auto, 32, bf16"),
        ({"precision": 16}, "precision must be one of auto, 32, bf16"),
        ({"precision": True}, "precision must be text"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        from_dict(wrong)


@pytest.mark.parametrize("name", PRESETS)
def test_a_gpu_alone_has_other_batches_of_the_default_alone(name: str) -> None:
    assert preset_on("cpu", name) == preset_on("mps", name) == PRESETS[name]
    there = preset_on("cuda", name)
    assert (there == PRESETS[name]) == (name != "default")
    assert there.preset == name


@pytest.mark.parametrize(
    ("options", "batch", "rate"),
    [
        ([], 32, 2e-3),
        (["--batch-size", "4", "--set", "optimizer.rate=1e-3"], 4, 1e-3),
        (["--preset", "paper"], 20, 1e-3),
    ],
)
def test_what_is_asked_for_goes_before_what_a_device_has(
    options: list[str], batch: int, rate: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    taken = []

    def train(data: Path, out: Path, config: Config, **others: object) -> None:
        taken.append(config)
        raise CellqaError("enough")

    monkeypatch.setattr("ciegan.network.device.choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr("ciegan.training.run.train", train)
    (tmp_path / "data").mkdir()
    words = ["train", str(tmp_path / "data"), str(tmp_path / "out"), *options]
    assert "enough" in CliRunner().invoke(main, words).output
    (config,) = taken
    assert (config.data.batch_size, config.optimizer.rate) == (batch, rate)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"charbonnier": 0, "ms_ssim": 0}, "no term between image and target"),
        ({"charbonier": 1}, r"losses.charbonier is unknown; did you mean charbonnier\?"),
    ],
)
def test_a_network_is_not_trained_with_wrong_terms(
    tmp_path: Path, wrong: dict[str, float], message: str
) -> None:
    config = from_dict({"losses": wrong})  # weights that such a network has can be used
    with pytest.raises(ConfigError, match=message):
        config.losses.check_terms()
    file = tmp_path / "c.toml"
    file.write_text(to_toml(config))
    with pytest.raises(ConfigError, match=message):
        read_config(file)


def test_terms_of_the_loss_stand_beside_its_settings() -> None:
    changed = {"losses.l1": "2", "losses.ms_ssim": "0", "losses.vgg": "a.pth"}
    found = with_settings(PRESETS["adversarial"], changed)
    expected = {"charbonnier": 1.0, "adversarial": 0.001, "feature_matching": 0.01, "l1": 2.0}
    assert found.losses.weights == expected
    assert found.losses.vgg == "a.pth"
    table = tomllib.loads(to_toml(found))["losses"]
    assert table["l1"] == 2.0
    assert table["ms_ssim"] == 0
    assert from_dict(tomllib.loads(to_toml(found))) == found


def test_files_of_earlier_versions_name_terms_of_weight_0() -> None:
    text = """
preset = "paper"
[losses]
l1 = 0.0
l2 = 1.0
ms_ssim = 0.0
perceptual = 0.05
style = 50.0
tv = 0.1
adversarial = 0.02
feature_matching = 0.0
gan = "non-saturating"
layers = ["conv1_2", "conv2_2", "conv3_2"]
vgg = "random"
imagenet = false
"""
    assert from_dict(tomllib.loads(text)) == PAPER


@pytest.mark.parametrize("text", ["data = [", "\xff\xfe", "data.crop = 1\ndata.crop = 2"])
def test_no_toml(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match="not a TOML file"):
        read_config(file)


def test_settings_by_dotted_names() -> None:
    found = with_settings(DEFAULT, {"data.crop": "64", "generator.name": "unet", "seed": "3"})
    assert (found.data.crop, found.generator.name, found.seed) == (64, "unet", 3)
    assert found.generator.options == {}  # of another network
    with pytest.raises(ConfigError, match=r"data\.crap is unknown"):
        with_settings(DEFAULT, {"data.crap": "64"})


def test_a_monitor_that_rewards_invention_is_told() -> None:
    assert Monitor({"ssim": 1.0}).warnings() == []
    assert Monitor({"resolution": 1.0, "psnr": 1.0}).warnings() == []
    for alone in ("resolution", "entropy", "invented"):
        assert "invented" in Monitor({alone: 1.0}).warnings()[0]


def test_settings_join_tables() -> None:
    found = with_settings(
        DEFAULT,
        {"generator.options.widths": "[4, 8]", "generator.options.blocks": "[1, 1]"},
    )
    assert found.generator.options == {"widths": [4, 8], "blocks": [1, 1]}
    assert with_settings(DEFAULT, {"monitor.metrics.psnr": "0.1"}).monitor.metrics == {
        "ssim": 1.0,
        "psnr": 0.1,
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("preset", "paper", "give --preset"),
        ("data.crop", "64\nfoo = 1", "more than one value"),
        ("schedule.generator", "inf", "must be a finite number"),
        ("optimizer.rate", "1" + 400 * "0", "must be a finite number"),
    ],
)
def test_odd_settings(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_settings(DEFAULT, {name: text})


def test_a_number_is_text_where_text_is_wanted() -> None:
    """As `--set precision=32` gives it."""
    assert from_dict({"precision": 32}).precision == "32"
