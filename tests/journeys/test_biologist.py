"""A biologist: folders of images, and the question which method to take."""

from __future__ import annotations

from desk import Desk, line

README = "README.md"


def test_from_folders_to_a_verdict_and_a_page(desk: Desk) -> None:
    desk.types(line(README, "cellqa enhance"))
    assert "enhanced 12 images" in desk.types(line(README, "ciegan enhance general"))
    said = desk.types(line(README, "cellqa score"))
    assert "te is worse than doing nothing." in said
    assert "But distrust it: " in said
    page = (desk.folder / "cellqa-results/report.html").read_text(encoding="utf-8")
    assert "te is worse than doing nothing." in page
    assert "data:image/" in page  # one file to mail
    assert not (desk.folder / "cellqa-results/report_files").exists()
    figures = desk.types("cellqa figures cellqa-results")
    assert "boxplots.png" in figures
    assert (desk.folder / "cellqa-results/figures/boxplots.png").stat().st_size > 10_000


def test_names_that_do_not_quite_match_and_a_folder_that_is_not_there(desk: Desk) -> None:
    desk.types("cellqa enhance raw rl --method rl --set sigma=2.5")
    desk.types('cd rl; for f in *.tif; do mv "$f" "${f%.tif}_out.tif"; done')
    said = desk.types("cellqa score --pred rl=rl --gt sharp --input raw --no-report")
    assert "'_out'" in said
    assert "rl is better than the untouched images." in said
    wrong = desk.types("cellqa score --pred rl=r1 --gt sharp", status=1)
    assert len(wrong.strip().splitlines()) == 1
    assert "r1" in wrong


def test_which_objects_can_be_counted_and_measured(desk: Desk) -> None:
    desk.types("cellqa enhance raw te --method te")
    said = desk.types(
        "cellqa score --pred te=te --gt sharp --input raw --metrics psnr,ap50 --objects auto"
    )
    assert "te: counts within" in said
    assert "do not quantify" in said
