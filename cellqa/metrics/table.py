"""The table of metrics: what is known of one stands here and nowhere else.

A new one is an entry, or comes from another package through the entry point `cellqa.metrics`.
"""

from __future__ import annotations

from typing import Any

from cellqa.metrics import (
    alignment,
    classic,
    consistency,
    detail,
    fitted,
    foreground,
    frc,
    information,
    micro,
    objects,
    photometry,
    pixel,
    resolution,
    structural,
    unexplained,
)
from cellqa.metrics.metric import OBJECTS, ON_REQUEST, Metric
from cellqa.pairs.roles import Role
from cellqa.plugins import Registry, instance_of

GT, RAW, MASK = (Role.REFERENCE,), (Role.RAW,), (Role.REFERENCE, Role.MASK)
BOTH = (Role.REFERENCE, Role.RAW)
FIT, FOREGROUND = "--fit affine", "--mask or --foreground"
AS_GIVEN = "as the table has it"  # the definition of what another program computed


RETIRED = {
    "overclaim": "it accused filters and missed forgeries; see `invented` (--gt and --input) and "
    "`supported` (--gt)"
}


def _wrong(entry: Any) -> str:
    if problem := instance_of(Metric)(entry):
        return problem
    return "" if entry.name.isidentifier() else f"{entry.name!r} is no name of a column"


METRICS: Registry[Metric] = Registry(
    "cellqa.metrics",
    (
        Metric(
            name="psnr", function=pixel.psnr, measure=pixel.measure, needs=GT,
            higher_is_better=True, uses_range=True, unit="dB", decimals=2, leads=3,
            range="unbounded, inf if identical",
            measures="error of the grey values",
            definition="10 log10(L² / MSE)", doi="10.1049/el:20080522",
        ),
        Metric(
            name="nrmse", function=pixel.nrmse, measure=pixel.measure, needs=GT,
            higher_is_better=False, decimals=4, range="0 to inf",
            measures="error relative to the signal",
            definition="Euclidean: ‖gt - image‖ / ‖gt‖", doi="10.1364/AO.36.008352",
        ),
        Metric(
            name="ssim", function=structural.ssim, measure=structural.measure, needs=GT,
            higher_is_better=True, uses_range=True, decimals=4, leads=1, range="-1 to 1",
            measures="local structure and contrast",
            definition="Wang 2004: Gaussian 11 × 11, sigma 1.5, K 0.01 / 0.03, valid region",
            doi="10.1109/TIP.2003.819861",
        ),
        Metric(
            name="ms_ssim", function=structural.ms_ssim, measure=structural.measure, needs=GT,
            higher_is_better=True, uses_range=True, decimals=4, leads=2, range="0 to 1",
            measures="structure over five scales",
            definition="Wang 2003: five scales, published weights, 2 × 2 means",
            doi="10.1109/ACSSC.2003.1292216",
        ),
        Metric(
            name="mi", function=information.mi, measure=information.measure, needs=GT,
            higher_is_better=True, unit="nat", decimals=3, range="0 to 5.545",
            measures="shared information of the grey levels",
            definition="256 equal bins over the ground truth's range",
            doi="10.1002/j.1538-7305.1948.tb01338.x",
        ),
        Metric(
            name="nmi", function=information.nmi, measure=information.measure, needs=GT,
            higher_is_better=True, decimals=4, range="0 to 1",
            measures="shared part of both entropies",
            definition="mi over the arithmetic mean of the entropies",
            doi="10.1162/153244303321897735",
        ),
        Metric(
            name="entropy", function=information.entropy, measure=information.measure,
            higher_is_better=True, unit="bit", decimals=3, range="0 to 8",
            measures="variety of the grey levels, noise included",
            definition="256 equal bins over the ground truth's range",
            doi="10.1002/j.1538-7305.1948.tb01338.x",
        ),
        Metric(
            name="resolution", function=resolution.resolution, measure=resolution.measure,
            higher_is_better=False, unit="µm", length=True, decimals=3, leads=7,
            range="2 pixels to inf",
            measures="finest detail above the noise",
            definition="decorrelation analysis: 2 × pixel size / kc; in pixels where the size is "
            "unknown",
            doi="10.1038/s41592-019-0515-7",
        ),
        Metric(
            name="frc_resolution", function=frc.frc_resolution, measure=frc.measure, needs=GT,
            higher_is_better=False, unit="µm", length=True, decimals=3, leads=4,
            range="2 pixels to inf",
            measures="finest detail shared with the ground truth",
            definition="Fourier ring correlation, threshold 1/7; in pixels where the size is "
            "unknown",
            doi="10.1038/nmeth.2448",
        ),
        Metric(
            name="invented", function=detail.invented, measure=detail.measure, needs=BOTH,
            higher_is_better=False, decimals=4, leads=5, range="0 to 1",
            measures="detail that neither ground truth nor raw image explain",
            definition="detail budget: 1 - R²gr of the ring spectra, above a tenth of Nyquist",
            doi="10.1002/9781118625590",
        ),
        Metric(
            name="invented_amplitude", measure=detail.measure, needs=BOTH,
            higher_is_better=False, decimals=3, range="0 to inf",
            measures="amplitude of what is invented, over that of true detail",
            definition="detail budget: √(invented / (measured + inferred))",
        ),
        Metric(
            name="measured", measure=detail.measure, needs=BOTH, higher_is_better=True,
            decimals=4, range="0 to 1",
            measures="detail that the raw image shows, and the ground truth too",
            definition="detail budget: R²g + R²r - R²gr",
        ),
        Metric(
            name="inferred", measure=detail.measure, needs=BOTH, decimals=4, range="0 to 1",
            measures="detail that is right, and not in the raw image",
            definition="detail budget: R²gr - R²r",
        ),
        Metric(
            name="noise", measure=detail.measure, needs=BOTH, higher_is_better=False,
            decimals=4, range="0 to 1",
            measures="detail that the raw image alone shows: its noise",
            definition="detail budget: R²gr - R²g",
        ),
        Metric(
            name="untestable", measure=detail.measure, needs=BOTH, decimals=4, range="0 to 1",
            measures="detail not of the raw image, where the ground truth is noise",
            definition="detail budget: 1 - R²gr where the truth is within its noise",
        ),
        Metric(
            name="supported", function=detail.supported, measure=detail.measure, needs=GT,
            higher_is_better=True, decimals=4, range="0 to 1",
            measures="detail that the ground truth explains",
            definition="detail budget: R²g of the ring spectra, above a tenth of Nyquist",
        ),
        Metric(
            name="unexplained", function=unexplained.unexplained, measure=unexplained.measure,
            needs=RAW, higher_is_better=False, decimals=3, range="0 to inf",
            measures="what of the raw image is not explained, over its noise",
            definition="reduced chi-square of the ring spectra; 1: all but noise is explained",
        ),
        Metric(
            name="rsp", function=consistency.rsp, measure=consistency.measure, needs=RAW,
            higher_is_better=True, decimals=4, leads=6, range="-1 to 1",
            measures="consistency with the raw image",
            definition="SQUIRREL: Pearson correlation after a fitted blur",
            doi="10.1038/nmeth.4605",
        ),
        Metric(
            name="rse", function=consistency.rse, measure=consistency.measure, needs=RAW,
            higher_is_better=False, unit="grey", range="0 to inf",
            measures="what of the raw image is not explained",
            definition="SQUIRREL: root mean square error after fitted blur, gain, offset",
            doi="10.1038/nmeth.4605",
        ),
        Metric(
            name="rsf_sigma", function=consistency.rsf_sigma, measure=consistency.measure,
            needs=RAW, unit="px", decimals=2, range="0 to side / 8",
            measures="how much blur takes the image to the raw one",
            definition="SQUIRREL: sigma of the fitted Gaussian", doi="10.1038/nmeth.4605",
        ),
        Metric(
            name="photometry_slope", function=photometry.photometry_slope,
            measure=photometry.measure, needs=RAW, decimals=3, range="unbounded, 1 is best",
            measures="grey levels for one of the raw image",
            definition="robust line through the fluxes of Gaussian surroundings",
            doi="10.1214/aoms/1177703732",
        ),
        Metric(
            name="photometry_exponent", function=photometry.photometry_exponent,
            measure=photometry.measure, needs=RAW, decimals=2, range="0.2 to 5, 1 is best",
            measures="whether brightness stays in proportion",
            definition="p of k raw^p, fitted to the fluxes of Gaussian surroundings",
            doi="10.1214/aoms/1177703732",
        ),
        Metric(
            name="flux_ratio", function=photometry.flux_ratio, measure=photometry.measure,
            needs=RAW, decimals=3, range="unbounded, 1 is best",
            measures="light above the background, over that of the raw image",
            definition="of all surroundings, above the darkest twentieth of them",
        ),
        Metric(
            name="photometry_offset", function=photometry.photometry_offset,
            measure=photometry.measure, needs=RAW, unit="grey", range="unbounded, 0 is best",
            measures="what was added to the background",
            definition="of the darkest twentieth of the surroundings",
        ),
        Metric(
            name="shift_y", function=alignment.shift_y, measure=alignment.measure, needs=GT,
            unit="px", decimals=3, range="- side / 2 to side / 2",
            measures="displacement downwards",
            definition="phase correlation, weighted by coherence", doi="10.1364/OL.33.000156",
        ),
        Metric(
            name="shift_x", function=alignment.shift_x, measure=alignment.measure, needs=GT,
            unit="px", decimals=3, range="- side / 2 to side / 2",
            measures="displacement to the right",
            definition="phase correlation, weighted by coherence", doi="10.1364/OL.33.000156",
        ),
        Metric(
            name="gain", function=fitted.gain, measure=fitted.measure, needs=GT,
            range="unbounded", option=FIT,
            measures="brightness: factor",
            definition="least squares of gain × image + offset to the ground truth",
        ),
        Metric(
            name="offset", function=fitted.offset, measure=fitted.measure, needs=GT,
            unit="grey", range="unbounded", option=FIT,
            measures="brightness: summand",
            definition="least squares of gain × image + offset to the ground truth",
        ),
        Metric(
            name="psnr_fit", function=fitted.psnr_fit, measure=fitted.measure, needs=GT,
            higher_is_better=True, uses_range=True, unit="dB", decimals=2,
            range="unbounded, inf if identical",
            measures="error that gain and offset cannot mend", option=FIT, of="psnr",
            definition="psnr of gain × image + offset", doi="10.1049/el:20080522",
        ),
        Metric(
            name="nrmse_fit", function=fitted.nrmse_fit, measure=fitted.measure, needs=GT,
            higher_is_better=False, decimals=4, range="0 to 1",
            measures="error that gain and offset cannot mend", option=FIT, of="nrmse",
            definition="nrmse of gain × image + offset", doi="10.1364/AO.36.008352",
        ),
        Metric(
            name="ssim_fit", function=fitted.ssim_fit, measure=structural.measure, needs=GT,
            higher_is_better=True, uses_range=True, decimals=4, range="-1 to 1",
            measures="local structure, whatever the brightness", option=FIT, of="ssim",
            definition="ssim of gain × image + offset", doi="10.1109/TIP.2003.819861",
        ),
        Metric(
            name="ms_ssim_fit", function=fitted.ms_ssim_fit, measure=structural.measure, needs=GT,
            higher_is_better=True, uses_range=True, decimals=4, range="0 to 1",
            measures="structure over five scales, whatever the brightness", option=FIT,
            of="ms_ssim",
            definition="ms_ssim of gain × image + offset", doi="10.1109/ACSSC.2003.1292216",
        ),
        Metric(
            name="si_psnr", function=fitted.si_psnr, measure=fitted.measure, needs=GT,
            higher_is_better=True, unit="dB", decimals=2, range="unbounded, inf if identical",
            measures="error that gain and offset cannot mend", option=FIT, of="psnr",
            definition="CARE: psnr_fit with L = max - min of the ground truth",
            doi="10.1038/s41592-018-0216-7",
        ),
        Metric(
            name="micro_ssim", function=micro.micro_ssim, measure=micro.measure, needs=GT,
            higher_is_better=True, decimals=4, range="-1 to 1", option=ON_REQUEST,
            measures="local structure, whatever brightness and background",
            definition="MicroSSIM: 3rd percentile off, over the truth's maximum, best factor",
            doi="10.48550/arXiv.2408.08747",
        ),
        Metric(
            name="micro_ms3im", function=micro.micro_ms3im, measure=micro.measure, needs=GT,
            higher_is_better=True, decimals=4, range="0 to 1", option=ON_REQUEST,
            measures="structure over five scales, whatever brightness and background",
            definition="MicroMS3IM: MS-SSIM of the images of micro_ssim",
            doi="10.48550/arXiv.2408.08747",
        ),
        Metric(
            name="std", function=classic.std, measure=classic.measure, higher_is_better=True,
            unit="grey", range="0 to inf", option=ON_REQUEST,
            measures="contrast, noise included",
            definition="standard deviation of the grey values",
        ),
        Metric(
            name="average_gradient", function=classic.average_gradient, measure=classic.measure,
            higher_is_better=True, unit="grey", range="0 to inf", option=ON_REQUEST,
            measures="steepness, noise included",
            definition="mean of √((Δx² + Δy²) / 2)", doi="10.1016/j.optcom.2014.12.032",
        ),
        Metric(
            name="spatial_frequency", function=classic.spatial_frequency,
            measure=classic.measure, higher_is_better=True, unit="grey", range="0 to inf",
            option=ON_REQUEST, measures="differences of neighbours, noise included",
            definition="√(RF² + CF²)", doi="10.1109/26.477498",
        ),
        Metric(
            name="uqi", function=classic.uqi, measure=classic.measure, needs=GT,
            higher_is_better=True, decimals=4, range="-1 to 1", option=ON_REQUEST,
            measures="correlation, luminance and contrast in windows",
            definition="Wang and Bovik 2002: sliding windows of 8 × 8 pixels",
            doi="10.1109/97.995823",
        ),
        Metric(
            name="ami", function=classic.ami, measure=classic.measure, needs=GT,
            higher_is_better=True, decimals=4, range="-1 to 1", option=ON_REQUEST,
            measures="shared information beyond chance",
            definition="mi adjusted for chance, over the arithmetic mean of the entropies",
            doi="10.5555/1756006.1953024",
        ),
        Metric(
            name="ap50", measure=objects.measure, needs=GT, higher_is_better=True, decimals=4,
            range="0 to 1", option=OBJECTS, measures="objects found again",
            definition="average precision at an intersection over union of 0.5",
            doi="10.1007/978-3-030-00934-2_30",
        ),
        Metric(
            name="ap", measure=objects.measure, needs=GT, higher_is_better=True, decimals=4,
            range="0 to 1", option=OBJECTS, measures="objects found again, with their outlines",
            definition="average precision, mean of IoU 0.5 to 0.95",
            doi="10.1038/s41592-019-0612-7",
        ),
        Metric(
            name="count_error", measure=objects.measure, needs=GT, decimals=3,
            range="-1 to inf, 0 is best", option=OBJECTS, measures="objects too many or too few",
            definition="found / in the ground truth - 1",
        ),
        Metric(
            name="splits", measure=objects.measure, needs=GT, decimals=2,
            range="0 to inf", option=OBJECTS, measures="objects that fell apart",
            definition="objects of which two or more found ones are parts",
        ),
        Metric(
            name="merges", measure=objects.measure, needs=GT, decimals=2,
            range="0 to inf", option=OBJECTS, measures="objects that became one",
            definition="found objects of which two or more true ones are parts",
        ),
        Metric(
            name="object_area", measure=objects.measure, needs=GT, decimals=3,
            range="0 to inf, 1 is best", option=OBJECTS,
            measures="area of matched objects over the true one",
            definition="median over objects matched at IoU 0.5",
        ),
        Metric(
            name="object_intensity", measure=objects.measure, needs=GT, decimals=3,
            range="unbounded, 1 is best", option=OBJECTS,
            measures="summed intensity of matched objects over the true one",
            definition="median over objects matched at IoU 0.5",
        ),
        Metric(
            name="intensity_slope", measure=objects.measure, needs=GT, decimals=3,
            range="unbounded, 1 is best", option=OBJECTS,
            measures="whether bright and dim objects stay apart",
            definition="least squares of summed intensities on the true ones",
        ),
        Metric(
            name="intensity_r2", measure=objects.measure, needs=GT,
            higher_is_better=True, decimals=4, range="0 to 1", option=OBJECTS,
            measures="how well summed intensities follow the true ones",
            definition="squared correlation over matched objects",
        ),
        Metric(
            name="psnr_fg", function=foreground.psnr_fg, measure=foreground.measure, needs=MASK,
            higher_is_better=True, uses_range=True, unit="dB", decimals=2,
            range="unbounded, inf if identical",
            measures="error of the grey values of the foreground", option=FOREGROUND, of="psnr",
            definition="psnr over the mask", doi="10.1049/el:20080522",
        ),
        Metric(
            name="nrmse_fg", function=foreground.nrmse_fg, measure=foreground.measure, needs=MASK,
            higher_is_better=False, decimals=4, range="0 to inf",
            measures="error relative to the signal of the foreground", option=FOREGROUND,
            of="nrmse",
            definition="nrmse over the mask", doi="10.1364/AO.36.008352",
        ),
        Metric(
            name="ssim_fg", function=foreground.ssim_fg, measure=structural.measure, needs=MASK,
            higher_is_better=True, uses_range=True, decimals=4, range="-1 to 1",
            measures="local structure and contrast of the foreground", option=FOREGROUND,
            of="ssim",
            definition="mean of the SSIM map over the mask", doi="10.1109/TIP.2003.819861",
        ),
    ),
    wrong=_wrong,
)  # fmt: skip
