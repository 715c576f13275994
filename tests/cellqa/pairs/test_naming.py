from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cellqa.cli import main
from cellqa.errors import CellqaError
from cellqa.pairs.naming import Naming, common_affixes, parse_naming
from cellqa.pairs.pairing import Folder, Pairing, pair, pair_folders
from cellqa.reporting.load import load_run
from cellqa.reporting.pictures import as_scored

Folders = Callable[..., Path]


def folder(*names: str) -> Folder:
    return Folder(Path("x"), {name: (f"{name}.png",) for name in names})


def of(ours: list[str], theirs: list[str]) -> Pairing:
    return pair({"net": folder(*ours), "gt": folder(*theirs)})


def pairs(found: Pairing) -> dict[str, str]:
    return {image.files["net"][0][:-4]: image.files["gt"][0][:-4] for image in found.images}


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (["a1_out", "a2_out"], ["a1", "a2"], "'_out' off the names of net"),
        (["x_cp_masks", "y_cp_masks"], ["x", "y"], "'_cp_masks' off"),
        (["pred_x", "pred_y"], ["x", "y"], "'pred_' off"),
        (["set1_blurred"], ["set1"], "'_blurred' off"),
        (["x_fake_B", "y_fake_B"], ["x_real_A", "y_real_A"], "fake_B' off the names of net, and"),
        (["run7/a_out", "run7/b_out"], ["a", "b"], "'run7/' and '_out' off"),
        (["img1SR", "img2SR"], ["img1", "img2"], "'SR' off"),
        (["1_denoised", "2_denoised"], ["raw-1", "raw-2"], "off the names of gt"),
    ],
)
def test_what_all_names_have_beside_the_images_is_taken_off(
    ours: list[str], theirs: list[str], said: str
) -> None:
    found = of(ours, theirs)
    assert pairs(found) == dict(zip(ours, theirs, strict=True))
    assert len(found.notes) == 1
    assert said in found.notes[0]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (["a1", "a10"], ["a"]),  # numbers tell images apart
        (["a10"], ["a1"]),
        (["img_1_1", "img_1_2"], ["img_1", "img_2"]),  # parts of the first
        (["cells_1"], ["cells_2"]),
        (["a_out", "b_res"], ["a", "b"]),  # no one affix
        (["x_fake_B", "x_real_A", "y_fake_B", "y_real_A"], ["x", "y"]),  # two would do
        (["abc"], ["ab"]),  # in the middle of a word
        (["out"], ["out_out", "gt"]),
    ],
)
def test_what_is_not_plain_is_refused(ours: list[str], theirs: list[str]) -> None:
    with pytest.raises(CellqaError, match=r"--strip, --match and --pairs say"):
        of(ours, theirs)


def test_two_ways_to_pair_are_none() -> None:
    # without "a_" and "_b" on either side, each finds a partner: another one
    assert common_affixes(["a_x_b"], ["x_b", "a_x"]) is None


def test_the_images_that_lack_a_partner_are_still_told() -> None:
    found = of(["a_out", "b_out"], ["a", "b", "c"])
    assert len(found.images) == 2
    assert found.unpaired == {"gt": ("c.png",)}


def test_the_error_names_what_would_mend_it() -> None:
    with pytest.raises(CellqaError) as refused:
        of(["x_fake_B", "x_real_A"], ["x", "z"])
    assert "'x_fake_B' here, 'x' there" in str(refused.value)
    assert "--strip=_fake_B" in str(refused.value)


def test_names_in_either_unicode_form_are_the_same() -> None:
    name = "Zellkörper_é"
    forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    found = of(forms[:1], forms[1:])
    assert len(found.images) == 1
    assert not found.unpaired
    assert not found.notes


def test_strip_is_for_all_or_for_one() -> None:
    naming = parse_naming(["_x", "net=_out"], [], None, {"net", "gt"})
    assert naming.key("net", "a_out") == naming.key("gt", "a_x") == "a"
    assert naming.key("gt", "a_out") == "a_out"
    assert naming.key("net", "_out") == "_out"  # never all of it
    # an = that no role stands before is part of the text
    assert parse_naming(["t=1"], [], None, {"net"}).key("net", "at=1") == "a"


def test_match_leaves_out_what_it_does_not_match() -> None:
    naming = Naming(match={"": r"(?P<id>\w)_fake_B", "gt": r"^(?P<id>\w)"})
    both = {"net": folder("x_fake_B", "x_real_A"), "gt": folder("x")}
    found = pair(both, naming)
    assert pairs(found) == {"x_fake_B": "x"}
    assert found.unpaired == {"net": ("x_real_A.png",)}


@pytest.mark.parametrize(
    ("expression", "why"),
    [("(", "is no expression"), ("a.*", "names nothing"), ("q(?P<i>q)", "none of")],
)
def test_bad_expressions(expression: str, why: str) -> None:
    with pytest.raises(CellqaError, match=rf"^--match: .*{why}"):
        pair({"net": folder("a"), "gt": folder("a")}, Naming(match={"": expression}))


def score(out: Path, *options: str) -> tuple[int, str]:
    arguments = ["score", *options, "--out", str(out), "--metrics", "psnr", "--jobs", "1"]
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output


def test_a_run_says_so_and_its_page_still_finds_the_pictures(
    folders: Folders, tmp_path: Path, sharp8: np.ndarray
) -> None:
    one = folders("one", x_fake_B=sharp8 // 2, x_real_B=sharp8, x_real_A=sharp8 // 3)
    options = ("--strip=net=_fake_B", "--match=gt=(?P<id>.*)_real_B", "--no-report")
    status, said = score(tmp_path / "run", f"--pred=net={one}", f"--gt={one}", *options)
    assert status == 0, said
    assert "warning: net: 2 without a partner" in said
    run = load_run(tmp_path / "run")
    name = run.scores["image"][0]
    assert name == "x_real_B.png"
    assert as_scored(run, [name])[1][name].files["net"] == ("x_fake_B.png",)


def test_a_table_says_all(folders: Folders, tmp_path: Path, sharp8: np.ndarray) -> None:
    net = folders("net", p=sharp8, q=sharp8 // 2, r=sharp8)
    gt = folders("gt", a=sharp8 // 2, b=sharp8)
    table = tmp_path / "pairs.csv"
    table.write_text(f"pred,gt\nq.png,a.png\n{net / 'p.png'},b.png\n", encoding="utf-8")
    found = pair_folders({"net": net}, reference=gt, naming=Naming(table=str(table)))
    assert {i.files["net"][0]: i.name for i in found.images} == {"q.png": "a.png", "p.png": "b.png"}
    assert found.unpaired == {"net": ("r.png",)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("net,gt\nz.png,a.png\n", "row 2: there is no 'z.png' in"),
        ("net,gt\n../gt/a.png,a.png\n", r"row 2: there is no '\.\./gt/a\.png' in"),
        ("net,other\np.png,a.png\n", "has no column 'gt'"),
        ("", "has no column"),
    ],
)
def test_bad_tables(
    folders: Folders, tmp_path: Path, sharp8: np.ndarray, text: str, why: str
) -> None:
    net, gt = folders("net", p=sharp8), folders("gt", a=sharp8)
    (tmp_path / "pairs.csv").write_text(text, encoding="utf-8")
    status, said = score(
        tmp_path / "run", f"--pred={net}", f"--gt={gt}", f"--pairs={tmp_path / 'pairs.csv'}"
    )
    assert status == 1
    assert "Traceback" not in said
    with pytest.raises(CellqaError, match=why):
        pair_folders({"net": net}, reference=gt, naming=Naming(table=str(tmp_path / "pairs.csv")))


def test_files_of_other_kinds_are_counted(
    folders: Folders, tmp_path: Path, sharp8: np.ndarray
) -> None:
    net, gt = folders("net", a=sharp8), folders("gt", a=sharp8)
    for name in ("b.xlif", "c.xlif", "d.xyz", "notes.txt"):
        (net / name).write_bytes(b"x")
    status, said = score(tmp_path / "run", f"--pred={net}", f"--gt={gt}", "--no-report")
    assert status == 0
    assert "warning: net: 2 .xlif, 1 .xyz: not read here" in said
    done = CliRunner().invoke(main, ["te-enhance", str(net), str(tmp_path / "te")])
    assert "warning: IN: 2 .xlif, 1 .xyz: not read here" in done.output
