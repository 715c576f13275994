"""Training data from stacks, from sharp images, and from pairs."""

from ciegan.data.blur import prepare_blur
from ciegan.data.noisy import prepare_noisy
from ciegan.data.pairs import prepare_pairs, prepare_side_by_side
from ciegan.data.prepare import Prepared
from ciegan.data.tasks import TASKS, Task, prepare_task
from ciegan.data.tiles import TilingOptions
from ciegan.data.zstack import ZStack, prepare_zstack

__all__ = [
    "TASKS",
    "Prepared",
    "Task",
    "TilingOptions",
    "ZStack",
    "prepare_blur",
    "prepare_noisy",
    "prepare_pairs",
    "prepare_side_by_side",
    "prepare_task",
    "prepare_zstack",
]
