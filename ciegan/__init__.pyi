# The public names, and where they are: read by type checkers, and by the package itself.
from .config import (
    DEFAULT as DEFAULT,
    PAPER as PAPER,
    PIX2PIX as PIX2PIX,
    PRESETS as PRESETS,
    Config as Config,
    ConfigError as ConfigError,
    Data as Data,
    Losses as Losses,
    Monitor as Monitor,
    Network as Network,
    Optimizer as Optimizer,
    Schedule as Schedule,
    from_dict as from_dict,
    read_config as read_config,
    to_toml as to_toml,
)
from .data import (
    TASKS as TASKS,
    Prepared as Prepared,
    Task as Task,
    TilingOptions as TilingOptions,
    ZStack as ZStack,
    prepare_blur as prepare_blur,
    prepare_pairs as prepare_pairs,
    prepare_side_by_side as prepare_side_by_side,
    prepare_task as prepare_task,
    prepare_zstack as prepare_zstack,
)
from .data.degrade import (
    DEGRADATIONS as DEGRADATIONS,
    BrightfieldDefocus as BrightfieldDefocus,
    Degradation as Degradation,
    FluorescenceDefocus as FluorescenceDefocus,
    Gaussian as Gaussian,
    Noise as Noise,
)
from .data.optics import (
    BrightfieldFit as BrightfieldFit,
    Microscope as Microscope,
    Optics as Optics,
    brightfield_defocus as brightfield_defocus,
    fit_brightfield as fit_brightfield,
    fluorescence_defocus as fluorescence_defocus,
)
from .enhancing.cluster import Cluster as Cluster
from .enhancing.dashboard import Watched as Watched
from .enhancing.enhanced import Enhanced as Enhanced
from .enhancing.enhancer import EnhanceOptions as EnhanceOptions
from .enhancing.folder import enhance_files as enhance_files, make_runners as make_runners
from .enhancing.watcher import WatchOptions as WatchOptions
from .enhancing.watching import watch as watch
from .judging.comparing import compare as compare
from .judging.methods import Method as Method, parse_methods as parse_methods
from .judging.results import Compared as Compared
from .judging.validation import Validated as Validated, validate as validate
from .losses import TERMS as TERMS, Term as Term, Verdict as Verdict
from .models import (
    DISCRIMINATORS as DISCRIMINATORS,
    GENERATORS as GENERATORS,
    Discriminator as Discriminator,
    Generator as Generator,
)
from .mosaic import (
    Assembled as Assembled,
    Placement as Placement,
    Placing as Placing,
    Scan as Scan,
    assemble as assemble,
    assemble_scans as assemble_scans,
    find_scans as find_scans,
    place as place,
)
from .network.checkpoint import Checkpoint as Checkpoint, load as load
from .network.enlarging import enlarge as enlarge
from .network.export import Exported as Exported, export_network as export_network
from .network.normalisation import Normalisation as Normalisation
from .network.runner import Runner as Runner
from .network.windows import enhance_plane as enhance_plane
from .training.objective import TrainingError as TrainingError
from .training.run import train as train
from .training.trained import Trained as Trained
