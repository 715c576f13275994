"""Every term against its equation, by values worked out by hand or by another program."""

import math
from pathlib import Path

import numpy as np
import pytest
import pytorch_msssim
import torch

import cellqa
from cellqa.errors import CellqaError
from ciegan.losses import (
    TERMS,
    VGG19,
    charbonnier,
    discriminator_loss,
    feature_matching,
    focal_frequency,
    generator_loss,
    l1,
    l2,
    load_vgg,
    ms_ssim,
    perceptual,
    style,
    total_variation,
)
from ciegan.losses.features import LAYERS

ONES = torch.ones(1, 1, 2, 2)
STEP = torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]]])


# what compares two images; `tv` sees one alone
COMPARING = [name for name, term in TERMS.items() if term.sees == "images" and name != "tv"]


@pytest.mark.parametrize("name", COMPARING)
def test_identical_images_cost_nothing(name: str) -> None:
    images = torch.rand(2, 1, 32, 32)
    assert float(TERMS[name].compute(images, images)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", COMPARING)
def test_more_noise_costs_more(name: str) -> None:
    torch.manual_seed(0)
    image, noise = torch.rand(1, 1, 64, 64), torch.randn(1, 1, 64, 64)
    costs = [
        float(TERMS[name].compute(image + amount * noise, image)) for amount in (0.05, 0.1, 0.2)
    ]
    assert costs == sorted(costs)
    assert costs[0] > 0


def test_pixels_by_hand() -> None:
    assert float(l1(STEP, ONES)) == pytest.approx((1 + 0 + 1 + 2) / 4)
    assert float(l2(STEP, ONES)) == pytest.approx((1 + 0 + 1 + 4) / 4)
    expected = (2 * math.sqrt(1 + 1e-6) + 1e-3 + math.sqrt(4 + 1e-6)) / 4 - 1e-3
    assert float(charbonnier(STEP, ONES)) == pytest.approx(expected)


def test_total_variation_by_hand() -> None:
    # down: 0 - 0, 3 - 1; across: 1 - 0, 3 - 0
    assert float(total_variation(STEP)) == pytest.approx((0 + 4) / 2 + (1 + 9) / 2)


@pytest.mark.parametrize("shape", [(8, 8), (7, 9), (6, 5)])
def test_focal_frequency_by_the_whole_spectrum(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image, target = rng.random((2, *shape))
    off = np.abs(np.fft.fft2(image - target, norm="ortho"))
    expected = (off / off.max() * off**2).mean()
    found = focal_frequency(*(torch.tensor(a)[None, None] for a in (image, target)))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("side", [176, 192])
def test_ms_ssim_is_cellqas(side: int) -> None:
    rng = np.random.default_rng(1)
    target = rng.random((side, side)) * 2 - 1
    image = np.clip(target + 0.2 * rng.standard_normal((side, side)), -1, 1)
    found = ms_ssim(*(torch.tensor(a)[None, None] for a in (image, target)))
    # float32 against float64
    assert 1 - float(found) == pytest.approx(cellqa.ms_ssim(target, image, data_range=2), abs=2e-6)


@pytest.mark.parametrize(
    ("side", "window"), [(160, 9), (128, 7), (97, 7), (96, 5), (64, 3), (33, 3)]
)
def test_ms_ssim_of_small_images_has_a_smaller_window(side: int, window: int) -> None:
    torch.manual_seed(0)
    target = torch.rand(2, 1, side, side) * 2 - 1
    image = target + 0.2 * torch.randn(target.shape)
    expected = pytorch_msssim.ms_ssim(image, target, data_range=2, win_size=window)
    assert float(ms_ssim(image, target)) == pytest.approx(1 - float(expected), abs=1e-6)
    with pytest.raises(AssertionError, match="should be larger"):  # the largest that fits
        pytorch_msssim.ms_ssim(image, target, data_range=2, win_size=window + 2)


@pytest.mark.parametrize("side", [11, 32])
def test_ms_ssim_of_tiny_images_is_ssim(side: int) -> None:
    image = torch.rand(1, 1, side, side)
    target = torch.rand(1, 1, side, side)
    arrays = (a[0, 0].double().numpy() for a in (target, image))
    ssim = cellqa.ssim(*arrays, data_range=2)
    assert 1 - float(ms_ssim(image, target)) == pytest.approx(max(ssim, 0), abs=1e-5)


def test_ms_ssim_of_the_opposite_has_a_gradient_that_is_finite() -> None:
    """Out of focus on the other side, contrast inverts, and all factors are negative."""
    target = torch.rand(1, 1, 64, 64) * 2 - 1
    image = (-target).requires_grad_()
    ms_ssim(image, target).backward()
    assert image.grad is not None
    assert bool(torch.isfinite(image.grad).all())


def test_ms_ssim_needs_a_window() -> None:
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ms_ssim(torch.zeros(1, 1, 10, 20), torch.zeros(1, 1, 10, 20))


def test_cross_entropy_by_hand() -> None:
    real, fake = torch.tensor([0.0, math.log(3)]), torch.tensor([0.0])
    # s(0) = 1/2, s(log 3) = 3/4
    expected = (-math.log(0.5) - math.log(0.75)) / 2 - math.log(0.5)
    assert float(discriminator_loss(real, fake)) == pytest.approx(expected)
    assert float(generator_loss(fake)) == pytest.approx(-math.log(0.5))
    judged = torch.tensor([math.log(3)])
    assert float(generator_loss(judged)) == pytest.approx(-math.log(0.75))
    assert float(generator_loss(judged, "saturating")) == pytest.approx(math.log(0.25))


def test_relativistic_by_hand() -> None:
    real, fake = torch.tensor([math.log(3)]), torch.tensor([0.0])
    # s(real - fake) = 3/4, 1 - s(fake - real) = 3/4
    assert float(discriminator_loss(real, fake, "relativistic")) == pytest.approx(-math.log(0.75))
    # roles exchanged: s(fake - real) = 1/4
    assert float(generator_loss(fake, "relativistic", real)) == pytest.approx(-math.log(0.25))
    with pytest.raises(ValueError, match="`real` is needed"):
        generator_loss(fake, "relativistic")
    with pytest.raises(ValueError, match="`kind` must be"):
        generator_loss(fake, "hinge")


def test_the_saturating_gradient_vanishes() -> None:
    def slope(kind: str) -> float:
        logit = torch.tensor([-10.0], requires_grad=True)  # a discriminator that is sure
        generator_loss(logit, kind).backward()
        return abs(float(logit.grad))

    assert slope("non-saturating") > 0.99
    assert slope("saturating") < 1e-4


def test_feature_matching_by_hand() -> None:
    fake = [torch.zeros(1, 2), torch.zeros(1, 4)]
    real = [torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 0.0, 0.0, 2.0]])]
    assert float(feature_matching(fake, real)) == pytest.approx((2 + 0.5) / 2)


def test_features_by_hand() -> None:
    ours = {"a": torch.tensor([[[[1.0, 2.0]], [[0.0, 1.0]]]])}
    theirs = {"a": torch.zeros(1, 2, 1, 2)}
    assert float(perceptual(ours, theirs)) == pytest.approx((1 + 4 + 0 + 1) / 4)
    # Gram matrix [[5, 2], [2, 1]] / (2 channels x 2 pixels)
    gram = np.array([[5, 2], [2, 1]]) / 4
    assert float(style(ours, theirs)) == pytest.approx((gram**2).mean())


def fake_state() -> dict[str, torch.Tensor]:
    """Random weights under torchvision's names, up to conv3_2."""
    vgg = VGG19(("conv3_2",))
    vgg.randomise(3)
    state = {}
    for name, place in vgg.places.items():
        state[f"features.{place}.weight"] = vgg.convolutions[name].weight
        state[f"features.{place}.bias"] = vgg.convolutions[name].bias
    return state


def test_vgg_places_are_torchvisions() -> None:
    vgg = VGG19(("conv5_4",))
    expected = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    assert tuple(vgg.places.values()) == expected  # of Conv2d in torchvision's vgg19().features
    assert sum(p.numel() for p in vgg.parameters()) == 20_024_384  # of vgg19().features


def test_vgg_by_its_own_layers(tmp_path: Path) -> None:
    torch.save(fake_state(), tmp_path / "vgg.pth")
    vgg, warning = load_vgg(str(tmp_path / "vgg.pth"), ("conv1_2", "conv2_2"))
    assert warning == ""
    state = fake_state()
    images = torch.rand(1, 1, 16, 16) * 2 - 1
    x = (images.expand(-1, 3, -1, -1) + 1) / 2
    mean, deviation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    x = (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)
    for place in (0, 2):
        x = torch.conv2d(
            x, state[f"features.{place}.weight"], state[f"features.{place}.bias"], 1, 1
        )
        x = x.relu()
    torch.testing.assert_close(vgg(images)["conv1_2"], x)
    assert vgg(images)["conv2_2"].shape == (1, 128, 8, 8)


def test_random_features_are_seeded_and_standardised() -> None:
    vgg, warning = load_vgg("random", LAYERS[:6], imagenet=False, seed=5)
    assert "random features" in warning
    again, _ = load_vgg("random", LAYERS[:6], imagenet=False, seed=5)
    noise = torch.randn(1, 3, 96, 96)
    for name, features in vgg(noise).items():
        assert torch.equal(features, again(noise)[name])
        # of other noise than that it was standardised on
        assert float(features.pow(2).mean()) == pytest.approx(1, rel=0.3)
    assert not any(p.requires_grad for p in vgg.parameters())


class Bomb:
    def __reduce__(self) -> object:
        return print, ("code of a pickle ran",)


def test_wrong_vgg_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(name: str, message: str) -> None:
        with pytest.raises(CellqaError, match=message):
            load_vgg(str(tmp_path / name), ("conv1_2",))

    refused("none.pth", "there is no such file")
    (tmp_path / "text.pth").write_text("no weights")
    refused("text.pth", "cannot be loaded")
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    refused("other.pth", "no weights of torchvision's vgg19")
    torch.save({"features.0.weight": Bomb()}, tmp_path / "bomb.pth")
    refused("bomb.pth", "cannot be loaded as weights alone")
    assert "ran" not in capsys.readouterr().out
    with pytest.raises(CellqaError, match="no layer of VGG-19"):
        VGG19(("conv6_1",))


def test_a_download_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def fetched(url: str, **options: object) -> dict[str, torch.Tensor]:
        asked.update(options, url=url)
        return fake_state()

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetched)
    _, warning = load_vgg("download", ("conv1_2",))
    assert warning == ""
    assert asked["check_hash"] is True
    assert asked["weights_only"] is True
    assert str(asked["url"]).endswith("vgg19-dcbb9e9d.pth")

    def offline(url: str, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(CellqaError, match=r"--vgg-weights download: .*no network"):
        load_vgg("download", ("conv1_2",))
