"""What photometry says against measuring on a method's images."""

from pathlib import Path

import cv2
import numpy as np
import tifffile
from click.testing import CliRunner

from cellqa.cli import main
from cellqa.enhance import ENHANCERS
from cellqa.io import write_tiff
from cellqa.simulate import acquire, deconvolve, filaments, nuclei, paste_texture


def test_what_can_be_quantified_is_told(tmp_path: Path) -> None:
    for k in range(6):
        raw = nuclei((200, 200), photons=200 * (k + 1), seed=k).image
        top = float(raw.max())
        made = {
            "raw": raw,
            "smooth": cv2.GaussianBlur(raw, (0, 0), 1),
            "brighter": np.rint(1.25 * raw),
            "gamma": np.rint((raw / top) ** 0.7 * top),
            "te": ENHANCERS["te"](raw),
            "uneven": raw * (0.5, 2, 1)[k % 3],
            "inverted": top - raw,
        }
        for name, image in made.items():
            write_tiff(tmp_path / name / f"{k}.tif", image.astype(np.uint16), None)
    line = ["score", "--input", str(tmp_path / "raw"), "--out", str(tmp_path / "out")]
    for name in ("smooth", "brighter", "gamma", "te", "uneven", "inverted"):
        line += ["--pred", f"{name}={tmp_path / name}"]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    told = {
        name: [w for w in done.output.splitlines() if f"warning: {name}: brightness" in w]
        for name in made
    }
    assert not told["smooth"]
    assert not told["raw"]
    assert "times that of the raw image, in proportion" in told["brighter"][0]
    assert "1.25 (" in told["brighter"][0]
    for name in ("gamma", "te"):
        assert "do not quantify intensities in it" in told[name][0]
    assert "exponent 0.7" in told["gamma"][0] or "exponent 0.69" in told["gamma"][0]
    assert "differing by" in told["uneven"][0]
    assert any("inverted: contrast is inverted" in w for w in done.output.splitlines())
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "do not quantify intensities" in page


def test_flicker_is_told_and_fading_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(2):
        scene = nuclei((128, 128), photons=2000, seed=k).ideal
        fading = np.stack([rng.poisson(scene * 0.9**t) for t in range(8)]).astype(float)
        factors = {
            "steady": np.ones(8),
            "flickers": 1 + 0.1 * rng.standard_normal(8),
            "fades": 0.95 ** np.arange(8),
        }
        write_series(tmp_path / f"raw/{k}.ome.tif", fading)
        for name, factor in factors.items():
            soft = np.stack([cv2.GaussianBlur(frame, (0, 0), 1) for frame in fading])
            write_series(tmp_path / name / f"{k}.ome.tif", soft * factor[:, None, None])
    line = ["score", "--input", str(tmp_path / "raw"), "--out", str(tmp_path / "out")]
    for name in factors:
        line += ["--pred", f"{name}={tmp_path / name}"]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    lines = [w for w in done.output.splitlines() if "frame" in w and "brightness" in w]
    assert not [w for w in lines if "steady" in w]
    assert any("flickers: brightness flickers by" in w for w in lines)
    assert any("fades: brightness drifts by -" in w for w in lines)
    assert not any("fades: brightness flickers" in w for w in lines)
    assert not any("fades" in w and "divide by it" in w for w in done.output.splitlines())


def write_series(path: Path, frames: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = np.rint(frames).astype(np.uint16)
    tifffile.imwrite(path, whole, metadata={"axes": "TYX"}, ome=True)


def test_what_contradicts_the_raw_images_is_told_without_ground_truth(tmp_path: Path) -> None:
    """A forgery is sharper than the honest filter, and explains less of what the camera saw."""
    for k in range(8):
        scene = filaments((256, 256), cutoff=0.35, photons=400, seed=k)
        other = filaments((256, 256), cutoff=0.7, photons=400, seed=k + 100).ideal
        honest = deconvolve(scene, photons=400, cutoff=0.7)
        made = {
            "raw": scene.image,
            "honest": honest,
            "forged": paste_texture(honest, other, beyond=0.3, amount=20),
            "gt": acquire(scene.structure, cutoff=0.7, photons=20_000, seed=k).image / 50 + 98,
        }
        for name, image in made.items():
            whole = np.rint(np.clip(image, 0, None)).astype(np.uint16)
            write_tiff(tmp_path / name / f"{k}.tif", whole, None)
    line = ["score", "--input", str(tmp_path / "raw"), "--no-report"]
    for name in ("honest", "forged"):
        line += ["--pred", f"{name}={tmp_path / name}"]
    alone = CliRunner().invoke(main, [*line, "--out", str(tmp_path / "alone")])
    told = [w for w in alone.output.splitlines() if "noise of the raw images unexplained" in w]
    assert [w.startswith("warning: forged leaves") for w in told] == [False, True]
    assert told[0].startswith("But distrust it: forged leaves")
    assert "Both honest and forged are ahead of the untouched images in" in alone.output
    # the truth itself, as another exposure, leaves more than noise: nobody is accused of that
    line += ["--pred", f"truth={tmp_path / 'gt'}", "--gt", str(tmp_path / "gt")]
    beside = CliRunner().invoke(main, [*line, "--out", str(tmp_path / "beside")])
    told = [w for w in beside.output.splitlines() if w.startswith("warning:") and "leaves" in w]
    assert len(told) == 1
    assert told[0].startswith("warning: forged leaves")


def warned(folder: Path, made: dict[str, list[np.ndarray]], *, gt: bool) -> list[str]:
    """Warnings of a run, after the method's name."""
    line = ["score", "--input", str(folder / "raw"), "--no-report", "--out", str(folder / "out")]
    for name, images in made.items():
        for k, image in enumerate(images):
            whole = np.rint(np.clip(image, 0, None)).astype(np.uint16)
            write_tiff(folder / name / f"{k}.tif", whole, None)
        if name not in ("raw", "gt"):
            line += ["--pred", f"{name}={folder / name}"]
    line += ["--gt", str(folder / "gt")] if gt else []
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    return [w.removeprefix("warning: ") for w in done.output.splitlines() if "warning: " in w]


def test_in_bright_light_little_is_not_much(tmp_path: Path) -> None:
    """At 10,000 photons the best filter leaves six times the noise, which is nothing to see."""
    scenes = [nuclei((200, 200), photons=10_000, cutoff=0.35, seed=k) for k in range(3)]
    made = {
        "raw": [scene.image for scene in scenes],
        "honest": [deconvolve(scene, photons=10_000, cutoff=0.7) for scene in scenes],
        "other": [scenes[k - 1].image for k in range(3)],
    }
    told = warned(tmp_path, made, gt=False)
    assert not [w for w in told if w.startswith("honest leaves")]
    assert [w for w in told if w.startswith("other shows nothing of what the raw images show")]


def test_in_low_light_what_is_unrelated_is_told(tmp_path: Path) -> None:
    """Five times the noise is more than there is to see."""
    scenes = [filaments((200, 200), photons=20, cutoff=0.35, seed=k) for k in range(3)]
    made = {
        "raw": [scene.image for scene in scenes],
        "honest": [deconvolve(scene, photons=20, cutoff=0.7) for scene in scenes],
        "other": [scenes[k - 1].image for k in range(3)],
        "blank": [np.full((200, 200), 120) for _ in scenes],
    }
    told = warned(tmp_path, made, gt=False)
    assert [w.split()[0] for w in told if "raw images" in w] == ["other", "blank"]


def test_a_ground_truth_of_other_fields_is_told_and_excuses_nothing(tmp_path: Path) -> None:
    scenes = [nuclei((200, 200), photons=400, cutoff=0.35, seed=k) for k in range(3)]
    made = {
        "raw": [scene.image for scene in scenes],
        "gt": [nuclei((200, 200), photons=2000, cutoff=0.7, seed=k + 9).image for k in range(3)],
        "other": [filaments((200, 200), photons=400, seed=k).image for k in range(3)],
    }
    told = warned(tmp_path, made, gt=True)
    about = [w.partition(" (")[0] for w in told if "of what the raw images show" in w]
    assert sorted(about) == [f"{who} shows nothing of what the raw images show" for who in made][1:]
