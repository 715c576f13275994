"""Examples of each command of `cellqa`, shown by its --help."""

from __future__ import annotations

from cellqa.cli.helping import BELOW, FAILED, Explained

EXAMPLES = {
    "score": Explained(
        (
            ("cellqa score --pred out/ --gt sharp/", "one method against ground truth"),
            (
                "cellqa score --pred net=out/ --pred te=te/ --gt sharp/ --input raw/ --out results",
                "two methods and the untouched images",
            ),
            (
                "cellqa score --pred out/ --gt sharp/ --fail-under ssim=0.8 --no-report --json",
                "in a pipeline: status 4 below a limit, the summary as JSON",
            ),
        ),
        (FAILED, BELOW),
    ),
    "merge": Explained(
        (
            ("cellqa merge part1 part2 part3 --out results", "three parts of an array job"),
            ("cellqa merge part* --out results --table parquet", "for tables of millions of rows"),
            ("cellqa merge part* --out results --overwrite", "again, after a part was mended"),
        ),
        (FAILED,),
    ),
    "enhance": Explained(
        (
            ("cellqa enhance raw/ te/ --method te", "unsharp masking, then CLAHE"),
            (
                "cellqa enhance raw/ rl/ --method rl --set sigma=3 --set iterations=20",
                "Richardson-Lucy with settings",
            ),
            (
                "cellqa enhance raw/ wiener/ --method wiener --set kernel=bead.tif --jobs 4",
                "with a measured point spread function, on four cores",
            ),
        ),
        (FAILED,),
    ),
    "te-enhance": Explained(
        (
            ("cellqa te-enhance raw/ te/", "a folder"),
            ("cellqa te-enhance cell.tif cell-te.tif --sigma 3", "a file, with a wider Gaussian"),
            ("cellqa te-enhance raw/ te/ --compat ciegan", "as the authors' 8-bit program"),
        ),
        (FAILED,),
    ),
    "egt": Explained(
        (
            ("cellqa egt sharp/ egt/", "a folder of ground truth"),
            ("cellqa egt sharp.tif egt.tif --clip-limit 3", "a file, with more contrast"),
            ("cellqa egt sharp/ egt/ --overwrite", "in place of earlier results"),
        ),
        (FAILED,),
    ),
    "resolution": Explained(
        (
            ("cellqa resolution cell.tif --pixel-size 0.1", "of one image"),
            ("cellqa resolution raw/ out/ --frc", "of folders, with a second opinion"),
            ("cellqa resolution cell.tif --map maps --plot curves.png", "where in the image"),
        ),
        (FAILED,),
    ),
    "sharpest": Explained(
        (
            ("cellqa sharpest stack.tif", "the in-focus plane of a stack"),
            ("cellqa sharpest stacks/*.tif --write best.tif", "saved, one for each stack"),
            (
                "cellqa sharpest stack.nd2 --modality brightfield --plot focus.png",
                "of brightfield, with the curves",
            ),
        ),
        (FAILED,),
    ),
    "report": Explained(
        (
            ("cellqa report results --gallery 100", "the page again, with more pictures"),
            ("cellqa report table.csv", "of somebody else's table"),
            (
                "cellqa report table.csv --out page --group '(?P<well>[A-H][0-9]+)'",
                "whose wells are the samples",
            ),
        )
    ),
    "figures": Explained(
        (
            ("cellqa figures results", "as PNG and SVG, into results/figures"),
            ("cellqa figures results --crop 100 100 256 256", "a montage of one place"),
            ("cellqa figures results --jobs 4", "on four cores"),
        )
    ),
    "questionnaire build": Explained(
        (
            (
                "cellqa questionnaire build --pred a=net/ --pred b=te/ --gt sharp/ --out q",
                "two methods and the ground truth, blinded",
            ),
            (
                "cellqa questionnaire build --pred a=net/ --pred b=te/ --out q --images 30",
                "more images",
            ),
            (
                "cellqa questionnaire build --pred a=net/ --pred b=te/ --out q --overwrite",
                "again, after q/instructions.txt was edited",
            ),
        ),
        long=False,
    ),
    "questionnaire analyse": Explained(
        (
            ("cellqa questionnaire analyse q answers/*.json", "of all raters"),
            (
                "cellqa questionnaire analyse q answers/*.json --scores results",
                "and which metric agrees with them",
            ),
            ("cellqa questionnaire analyse q a.json b.json --out analysis", "of two of them"),
        ),
        (FAILED,),
        long=False,
    ),
    "metrics": Explained(
        (
            ("cellqa metrics", "all that there are"),
            ("cellqa metrics | grep ↓", "those of which less is better"),
            ("cellqa metrics --markdown", "for a document"),
        ),
        long=False,
    ),
    "plugins": Explained(
        (
            ("cellqa plugins", "metrics, formats, enhancers and engines"),
            ("cellqa plugins | grep tif", "which format reads a file"),
            ("cellqa plugins --help", "this text"),
        ),
        long=False,
    ),
    "demo": Explained(
        (
            ("cellqa demo", "into cellqa-demo"),
            ("cellqa demo my-demo --jobs 2", "elsewhere, on two cores"),
            ("cellqa demo --overwrite", "once more"),
        )
    ),
    "doctor": Explained(
        (
            ("cellqa doctor", "what is here, what is missing and how to get it"),
            ("cellqa doctor --json > doctor.json", "for a report of a fault"),
            ("cellqa doctor | grep missing", "what is missing alone"),
        ),
        long=False,
    ),
}
