"""A developer of methods: arrays, a training loop, and a network of their own."""

from __future__ import annotations

from desk import Desk, blocks, line

PAGE = "docs/how-to/python.md"


def test_what_the_page_shows_runs_in_its_order(desk: Desk) -> None:
    shown = [b for b in blocks(PAGE, "python") if "net(batch)" not in b]
    assert len(shown) >= 3
    end = """
assert list(scores.frame.method.unique()) == ["input", "smooth", "gt"]
assert len(scores.compare()) and scores.verdict
scores.report("results")
"""
    said = desk.runs("\n".join([*shown, end]))
    assert "<table" in said
    assert (desk.folder / "results/report.html").stat().st_size > 10_000
    assert (desk.folder / "results/scores.csv").is_file()


def test_a_training_loop_of_their_own_is_judged(desk: Desk) -> None:
    """The lines that the page shows, without Lightning, in a loop of plain PyTorch."""
    (shown,) = [b for b in blocks(PAGE, "python") if "net(batch)" in b]
    code = f"""
import torch
torch.manual_seed(0)
net = torch.nn.Conv2d(1, 1, 3, padding=1)
target = torch.rand(4, 1, 64, 64)
batch = target + 0.1 * torch.randn_like(target)

class Loop:
    def log_dict(self, values):
        print(sorted(values))

self = Loop()
{shown}
"""
    said = desk.runs(code)
    assert "'val/psnr'" in said
    assert "'val/ssim'" in said


def test_a_network_is_trained_judged_and_used(desk: Desk) -> None:
    desk.types("ciegan prepare pairs raw sharp data --tile 128")
    trained = line("README.md", "ciegan train").replace("2h", "20s")
    assert "best at step" in desk.types(trained)
    judged = desk.types(line("README.md", "ciegan validate"))
    assert "wiener" in judged
    used = line("README.md", "ciegan enhance run/").replace("microscope/", "raw/")
    used = used.replace("sharp/", "enhanced/")
    assert "enhanced 12 images" in desk.types(used)
    table = (desk.folder / "enhanced/enhanced.csv").read_text(encoding="utf-8")
    assert table.count("\n") == 13
