# The public names, and where they are: read by type checkers, and by the package itself.
from .arrays.given import Batch as Batch
from .arrays.score import score as score
from .arrays.scores import Scores as Scores
from .disk import StrPath as StrPath
from .engines import (
    ENGINES as ENGINES,
    Engine as Engine,
    EngineKind as EngineKind,
    EngineLostError as EngineLostError,
    LocalEngine as LocalEngine,
    open_engine as open_engine,
)
from .enhance import (
    ENHANCERS as ENHANCERS,
    Enhancer as Enhancer,
    Traditional as Traditional,
    clahe as clahe,
    enhance_files as enhance_files,
    unsharp_mask as unsharp_mask,
)
from .errors import (
    Bound as Bound,
    CellqaError as CellqaError,
    ImageError as ImageError,
    Interrupted as Interrupted,
    MissingExtraError as MissingExtraError,
    Undefined as Undefined,
)
from .experts.analyse import Opinions as Opinions, analyse_answers as analyse_answers
from .experts.answers import Answers as Answers
from .experts.build import Questionnaire as Questionnaire, questionnaire as questionnaire
from .focus.files import measure_files as measure_files
from .focus.vote import Focus as Focus, sharpest as sharpest
from .io import (
    FORMATS as FORMATS,
    Format as Format,
    ImageFile as ImageFile,
    PlaneIndex as PlaneIndex,
    open_image as open_image,
    write_image as write_image,
    write_tiff as write_tiff,
)
from .metrics._affine import Affine as Affine
from .metrics._matching import Matched as Matched
from .metrics.alignment import shift as shift, shift_x as shift_x, shift_y as shift_y
from .metrics.case import Case as Case, Family as Family
from .metrics.classic import (
    ami as ami,
    average_gradient as average_gradient,
    spatial_frequency as spatial_frequency,
    std as std,
    uqi as uqi,
)
from .metrics.consistency import (
    Consistency as Consistency,
    consistency as consistency,
    consistency_map as consistency_map,
    rse as rse,
    rsf_sigma as rsf_sigma,
    rsp as rsp,
)
from .metrics.detail import (
    DetailBudget as DetailBudget,
    detail_budget as detail_budget,
    invented as invented,
    supported as supported,
)
from .metrics.detail_map import detail_map as detail_map
from .metrics.fitted import (
    affine as affine,
    error_map as error_map,
    gain as gain,
    ms_ssim_fit as ms_ssim_fit,
    nrmse_fit as nrmse_fit,
    offset as offset,
    psnr_fit as psnr_fit,
    si_psnr as si_psnr,
    ssim_fit as ssim_fit,
)
from .metrics.foreground import nrmse_fg as nrmse_fg, psnr_fg as psnr_fg, ssim_fg as ssim_fg
from .metrics.frc import (
    RingCorrelation as RingCorrelation,
    frc as frc,
    frc_resolution as frc_resolution,
    frc_single as frc_single,
)
from .metrics.information import entropy as entropy, mi as mi, nmi as nmi
from .metrics.local import (
    LocalResolution as LocalResolution,
    resolution_map as resolution_map,
    sector_resolution as sector_resolution,
)
from .metrics.metric import Metric as Metric
from .metrics.micro import micro_ms3im as micro_ms3im, micro_ssim as micro_ssim
from .metrics.objects import (
    match_objects as match_objects,
    object_measures as object_measures,
)
from .metrics.photometry import (
    Photometry as Photometry,
    flux_ratio as flux_ratio,
    photometry as photometry,
    photometry_exponent as photometry_exponent,
    photometry_offset as photometry_offset,
    photometry_slope as photometry_slope,
)
from .metrics.pixel import nrmse as nrmse, psnr as psnr
from .metrics.registry import metric as metric, select as select
from .metrics.resolution import (
    Decorrelation as Decorrelation,
    decorrelation as decorrelation,
    resolution as resolution,
)
from .metrics.series import (
    Outlier as Outlier,
    SeriesMeasures as SeriesMeasures,
    series_measures as series_measures,
)
from .metrics.structural import ms_ssim as ms_ssim, ssim as ssim, ssim_map as ssim_map
from .metrics.stsnr import stsnr as stsnr
from .metrics.table import METRICS as METRICS
from .metrics.unexplained import unexplained as unexplained
from .pairs.grouping import Grouping as Grouping
from .pairs.naming import Naming as Naming
from .pairs.pairing import Image as Image, Pairing as Pairing, pair_folders as pair_folders
from .pairs.roles import Role as Role
from .pairs.times import Times as Times
from .planes.labels import Labels as Labels, Mask as Mask
from .planes.plane import Plane as Plane
from .plugins import Registry as Registry
from .reporting.drawing import figures as figures
from .reporting.page import Table as Table, report as report
from .scoring.arrays import score_arrays as score_arrays
from .scoring.options import ScoreOptions as ScoreOptions
from .scoring.plane import Scored as Scored, Scorer as Scorer
from .scoring.run import (
    merge as merge,
    score_pairing as score_pairing,
    score_to_folder as score_to_folder,
)
from .tables.comparisons import Comparison as Comparison
from .tables.external import run_of_table as run_of_table
from .tables.finished import Finished as Finished
from .tables.rows import Row as Row
from .tables.summary import Summary as Summary, summarise as summarise
from .tables.tally import Tally as Tally
from .terminal import Progress as Progress, Tell as Tell
