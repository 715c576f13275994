"""A blinded questionnaire as a static page: forced choices and ratings, in random order."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Mapping
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from cellqa.disk import StrPath, appearing_text, fresh_folder
from cellqa.errors import CellqaError, printable
from cellqa.io.stores import absolute
from cellqa.pairs.naming import Naming
from cellqa.pairs.pairing import Image, Pairing, pair_folders
from cellqa.pairs.roles import Role
from cellqa.planes import Array
from cellqa.reporting.page import as_json
from cellqa.reporting.pictures import liveliest
from cellqa.scoring.image import load_plane
from cellqa.tables.files import write_json

SCALES = ("sharpness", "contrast", "freedom from artefacts", "fit for analysis")
KEY, PAGE_FOLDER, PAGE, INSTRUCTIONS = "key.json", "page", "questionnaire.html", "instructions.txt"
DEFAULT_INSTRUCTIONS = """\
Thank you for taking part.

You will see images of cells, one or two at a time. Where there are two, choose the one that you
would rather use for your research; where there is one, rate it from 1 (bad) to 5 (excellent).
There is no right answer, and no hurry. Your answers are kept in this browser until you are done;
then please save the file and send it back.
"""


class Questionnaire(NamedTuple):
    """A questionnaire that was built.

    Attributes
    ----------
    page : Path
        For the raters.
    key : Path
        What the pictures are of: not for the raters.
    tasks, images : int
    notes : tuple of str
        What was taken off names, and which files were passed over.
    """

    page: Path
    key: Path
    tasks: int
    images: int
    notes: tuple[str, ...] = ()


def questionnaire(
    pred: Mapping[str, StrPath],
    out: StrPath,
    *,
    reference: StrPath | None = None,
    naming: Naming | None = None,
    images: int = 12,
    repeats: float = 0.1,
    seed: int = 1,
    side: int = 384,
    overwrite: bool = False,
) -> Questionnaire:
    """Write OUT/page (for the raters), OUT/key.json (not for them) and OUT/instructions.txt.

    Each image is shown as every pair of methods and, rated, by every method, the ground truth
    among them; a share of the tasks comes twice. Order, sides and file names are drawn at random
    from the seed; pictures hold no metadata and have one time stamp. OUT/instructions.txt is
    written if it is not there, and used as it stands.

    Parameters
    ----------
    pred : dict
        Method to its folder; two methods at least, the ground truth counts as one.
    out : path
    reference : path, optional
        Ground truth, which is shown like a method.
    naming : Naming, optional
        What names have beside the image's. By default, affixes are found.
    images : int
        Drawn at random from those that all methods have.
    repeats : float
        Share of tasks that come twice, 0 to 1.
    seed : int
    side : int
        Of the square that is shown, pixels.
    overwrite : bool

    Raises
    ------
    CellqaError
        Fewer than two methods, no image that all have, or `out` holds a questionnaire.
    """
    out = Path(out)
    if (out / KEY).exists() and not overwrite:
        raise CellqaError(f"--out: {str(out)!r} holds a questionnaire; another name or --overwrite")
    pairing = pair_folders(pred, reference=reference, naming=naming)
    methods = list(pairing.methods)
    if len(methods) < 2:
        raise CellqaError("a questionnaire compares: give two methods, or one and --gt")
    shared = [image for image in pairing.images if set(image.methods) == set(methods)]
    if not shared:
        raise CellqaError("no image is in every folder: the names must match without suffix")
    draw = random.Random(seed)
    draw.shuffle(shared)
    folder = out / PAGE_FOLDER
    fresh_folder(folder)
    shown: dict[str, dict[str, str]] = {}  # picture to what it is of
    of_image: list[dict[str, str]] = []
    for image in shared:
        if len(of_image) == images:
            break
        pictures = _pictures(image, pairing, methods, side)
        if pictures is None:
            continue
        names = {method: f"{draw.getrandbits(64):016x}.png" for method in methods}
        for method, pixels in pictures.items():
            _write(folder / names[method], pixels)
            shown[names[method]] = {"image": image.name, "method": method}
        of_image.append(names)
    if not of_image:
        raise CellqaError("none of the images can be read by all methods at one size")
    tasks = _tasks(of_image, repeats, draw)
    identity = hashlib.sha256(json.dumps([seed, tasks], sort_keys=True).encode()).hexdigest()[:16]
    key = {
        "id": identity,
        "methods": methods,
        "scales": SCALES,
        "seed": seed,
        "shown": shown,
        "tasks": tasks,
    }
    write_json(out / KEY, key)
    instructions = out / INSTRUCTIONS
    if not instructions.exists():
        with appearing_text(instructions) as file:
            file.write(DEFAULT_INSTRUCTIONS)
    text = instructions.read_text(encoding="utf-8", errors="replace")
    with appearing_text(folder / PAGE) as file:
        file.write(_page(identity, tasks, text))
    return Questionnaire(folder / PAGE, out / KEY, len(tasks), len(of_image), pairing.notes)


def _pictures(
    image: Image, pairing: Pairing, methods: list[str], side: int
) -> dict[str, Array] | None:
    """The same square of every method's first plane, at one contrast."""
    folders = {name: absolute(path) for name, path in pairing.folders.items()}
    planes = load_plane(image, image.name, folders=folders, max_pixels=2**28)
    if set(planes) != set(methods) or len({p.shape for p in planes.values()}) > 1:
        return None
    leader = planes.get(Role.REFERENCE, planes[methods[0]]).pixels
    top, left, height, width = liveliest(leader, side)
    window = slice(top, top + height), slice(left, left + width)
    # each image has its own: brightness would give the method away, and is not what is asked
    pictures = {}
    for method in methods:
        pixels = planes[method].pixels[window].astype(np.float64)
        low, high = np.percentile(pixels, [0.5, 99.5])
        scaled = np.clip((pixels - low) / max(high - low, 1e-12), 0, 1)
        pictures[method] = np.asarray(np.rint(255 * scaled).astype(np.uint8))
    return pictures


def _write(path: Path, pixels: Array) -> None:
    ok, encoded = cv2.imencode(".png", pixels)
    if not ok:
        raise CellqaError(f"{path.name}: the picture cannot be encoded")
    path.write_bytes(encoded.tobytes())
    os.utime(path, (0, 0))  # the order of writing is that of the methods


def _tasks(
    of_image: list[dict[str, str]], repeats: float, draw: random.Random
) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = []
    for names in of_image:
        for pair in combinations(names.values(), 2):
            sides = list(pair)
            draw.shuffle(sides)
            tasks.append({"kind": "pair", "files": sides})
        tasks += [{"kind": "rate", "files": [name]} for name in names.values()]
    again = draw.sample(tasks, round(repeats * len(tasks)))
    draw.shuffle(tasks)
    draw.shuffle(again)
    # what comes again comes in the second half, its sides exchanged
    middle = len(tasks) // 2
    for task in again:
        copy = {"kind": task["kind"], "files": task["files"][::-1]}
        tasks.insert(draw.randint(max(middle, tasks.index(task) + 1), len(tasks)), copy)
    return [{"task": number, **task} for number, task in enumerate(tasks)]


def _page(identity: str, tasks: list[dict[str, Any]], instructions: str) -> str:
    template = files("cellqa.experts") / "templates" / "questionnaire.html"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(template.read_text(encoding="utf-8"))
    paragraphs = [printable(p.replace("\n", " ")) for p in instructions.split("\n\n") if p.strip()]
    data = as_json({"id": identity, "scales": SCALES, "tasks": tasks})
    return page.render(data=Markup(data), instructions=paragraphs)
