"""Examples of each command of `ciegan`, shown by its --help."""

from __future__ import annotations

from cellqa.cli.helping import FAILED, Explained

EXAMPLES = {
    "prepare zstack": Explained(
        (
            (
                "ciegan prepare zstack stacks/*.tif data",
                "planes with the sharpest of the stack",
            ),
            (
                "ciegan prepare zstack stacks/*.nd2 data --distances 2,4,6",
                "by distance, in µm",
            ),
            (
                "ciegan prepare zstack stacks/*.tif data --modality brightfield",
                "of unstained cells",
            ),
        ),
        (FAILED,),
    ),
    "prepare blur": Explained(
        (
            ("ciegan prepare blur sharp/ data", "sharp images, blurred by a microscope's optics"),
            (
                "ciegan prepare blur sharp/ data --degradation defocus-brightfield --distance 2:6",
                "of brightfield, 2 to 6 µm off focus",
            ),
            ("ciegan prepare blur sharp/ data --draws 4", "each field four times"),
        ),
        (FAILED,),
    ),
    "prepare pairs": Explained(
        (
            ("ciegan prepare pairs raw/ sharp/ data", "two folders whose names agree"),
            ("ciegan prepare pairs raw/ sharp/ data --tile 128", "in smaller tiles"),
            (
                "ciegan prepare pairs raw/ sharp/ data --match-levels",
                "whose grey levels are on other scales",
            ),
        ),
        (FAILED,),
    ),
    "prepare noisy": Explained(
        (
            ("ciegan prepare noisy raw/ data", "noisy images alone"),
            ("ciegan prepare noisy raw/ data --tile 128", "in smaller tiles"),
            ("ciegan prepare noisy raw/ data --overwrite", "in place of earlier tiles"),
        ),
        (FAILED,),
    ),
    "prepare side-by-side": Explained(
        (
            ("ciegan prepare side-by-side pairs/ data", "both images in one, side by side"),
            ("ciegan prepare side-by-side pairs/ data --split 0.8,0.1,0.1", "with other shares"),
            ("ciegan prepare side-by-side pairs/ data --overwrite", "in place of earlier tiles"),
        ),
        (FAILED,),
    ),
    "prepare task": Explained(
        (
            ("ciegan prepare task nuclei data", "simulated, with known truth"),
            ("ciegan prepare task nuclei data --seed 2", "with another seed"),
            ("ciegan prepare task nuclei data --overwrite", "in place of earlier tiles"),
        ),
        (FAILED,),
    ),
    "train": Explained(
        (
            ("ciegan train data run", "with the usual settings"),
            ("ciegan train data run --max-time 2h --monitor ssim", "in two hours, by SSIM"),
            ("ciegan train data run --resume", "on, after any end"),
        )
    ),
    "validate": Explained(
        (
            ("ciegan validate run --data data --out val", "beside classical filters"),
            ("ciegan validate a=run1 b=run2 --data data --out val", "two networks"),
            ("ciegan validate run --data data --out val --split val", "on another split"),
        ),
        (FAILED,),
    ),
    "compare": Explained(
        (
            (
                "ciegan compare --data data --methods paper,te --budget 30min --out cmp",
                "methods with one budget each",
            ),
            (
                "ciegan compare --data data --methods paper --budget 1h --seeds 3 --out cmp",
                "with three seeds",
            ),
            (
                "ciegan compare --data data --methods paper,te --steps 2000 --out cmp",
                "by steps, not time",
            ),
        ),
        (FAILED,),
    ),
    "enhance": Explained(
        (
            ("ciegan enhance run raw/ out/", "a folder, with a trained network"),
            ("ciegan enhance general cell.tif sharp.tif", "a file, with the built-in network"),
            ("ciegan enhance run raw/ out/ --interval 90 --check", "and how far to trust it"),
        ),
        (FAILED,),
    ),
    "watch": Explained(
        (
            ("ciegan watch run incoming/ out/", "while a microscope writes"),
            ("ciegan watch run incoming/ out/ --until-idle 10min", "until nothing comes"),
            ("ciegan watch run /mnt/share/ out/ --polling", "on a network drive"),
        ),
        (FAILED,),
    ),
    "mosaic": Explained(
        (
            ("ciegan mosaic tiles/ scans/", "every scan of a folder"),
            ("ciegan mosaic tiles/ scans/ --overlap 0.1", "whose overlap is known"),
            ("ciegan mosaic tiles/ scans/ --overwrite", "in place of earlier ones"),
        ),
        (FAILED,),
    ),
    "calibrate": Explained(
        (
            ("ciegan calibrate run --data data", "for `ciegan enhance --interval`"),
            ("ciegan calibrate run --data data --split test", "by another split"),
            ("ciegan calibrate run/best.safetensors --data data", "weights by their file"),
        ),
        long=False,
    ),
    "check": Explained(
        (
            ("ciegan check run", "what a trained network is, and makes of nothing"),
            ("ciegan check general", "the built-in one"),
            ("ciegan check run --data data", "and whether it knows these images"),
        ),
        long=False,
    ),
    "export": Explained(
        (
            ("ciegan export run net.onnx --to onnx", "for other programs"),
            ("ciegan export run net.zip --to bioimageio", "for the BioImage Model Zoo"),
            ("ciegan export run net.pt --to torchscript --overwrite", "in place of an earlier one"),
        ),
        long=False,
    ),
    "plugins": Explained(
        (
            ("ciegan plugins", "networks, losses and degradations"),
            ("ciegan plugins | grep unet", "which package brings a network"),
            ("ciegan plugins --help", "this text"),
        ),
        long=False,
    ),
    "demo": Explained(
        (
            ("ciegan demo", "into ciegan-demo"),
            ("ciegan demo my-demo", "elsewhere"),
            ("ciegan demo --overwrite", "once more"),
        )
    ),
}
