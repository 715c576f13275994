"""A trained network on acquisitions: a file, or all that is below a folder."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cellqa.disk import StrPath, free_space
from cellqa.enhance.files import Job, bytes_each, finish_stores, plan, refuse_taken
from cellqa.errors import CellqaError
from cellqa.io import store_of
from cellqa.io.store_images import holds_images
from cellqa.tables.cells import cell
from cellqa.tables.files import write_csv
from cellqa.terminal import Progress
from ciegan.enhancing.cluster import Cluster, Workers
from ciegan.enhancing.enhanced import COLUMNS, NOTED, Enhanced, take_over
from ciegan.enhancing.enhancer import EnhanceOptions
from ciegan.enhancing.levels import with_folder_levels
from ciegan.enhancing.pool import Pool
from ciegan.enhancing.processes import Crew, Setup, processes_for
from ciegan.network.checkpoint import Checkpoint
from ciegan.network.device import choose_device, number_of
from ciegan.network.runner import Runner

ENHANCED_TABLE = "enhanced.csv"
CHECKED_TABLE = "checked.csv"
_CUT = 1e-3  # of the values, from which it is told
_DISAGREES = 0.9  # rsp below which --check lists an image


def enhance_files(
    network: Checkpoint | StrPath,
    source: StrPath,
    target: StrPath,
    options: EnhanceOptions | None = None,
    *,
    runners: Sequence[Runner] = (),
    jobs: int | None = 1,
    cluster: Cluster | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Enhanced]:
    """Enhance a file, or every image below a folder, plane by plane.

    Names, layout, formats, bit depth, pixel size and axes are kept (what is only read, such as CZI
    and ND2, becomes OME-TIFF); metadata say that the image is enhanced, and by which weights. A
    network of super-resolution gives more, and smaller, pixels; planes that are copied are enlarged
    as `ciegan.enlarge` does. A file is done once: it is skipped where its content, the weights and
    the options are those it was made with. Reading, network and writing overlap; a file appears
    under its name when it is complete.

    Parameters
    ----------
    network : Checkpoint or path
        As `load` returns it, or takes it.
    source, target : path
        Both files, or both folders.
    options : EnhanceOptions, optional
    runners : sequence of Runner
        The network on each device; by default on the CPU.
    jobs : int or None
        Processes, each with the network, read from its file, on one of the devices of the runners;
        1 for this one alone. None: several for many files on a CUDA device. More than one need a
        program that can be imported (`if __name__ == "__main__"`).
    cluster : Cluster, optional
        Whose workers enhance instead of this machine; they see all places under the same absolute
        paths, that of the weights too.
    overwrite : bool
        Replace files that were made from other content, by other weights, or by something else.
    progress : callable, optional
        Called with thousandths of files done and of all.

    Returns
    -------
    list of Enhanced
        One for each file, in order; those that failed say why.

    Raises
    ------
    CellqaError
        The source holds no image, the target is in use or within the source, the disk is too
        small; a worker of the cluster has no such weights or device.
    cellqa.EngineLostError
        The cluster went away. What came back before is kept.
    """
    source, target = Path(source), Path(target)
    options = options or EnhanceOptions()
    work = plan(source, target)
    # beside a store, as beside a file: what stands in a store belongs to its images
    inside = holds_images(source) and store_of(target) is None
    root, folder = (source, target) if inside else (source.parent, target.parent)
    if not holds_images(source):
        folder = work[0].target.parent
    checkpoint = Checkpoint.of(network)
    options = with_folder_levels(options, checkpoint, source, target)
    pool = Pool(checkpoint, options, runners, root, folder, overwrite=overwrite)
    if not overwrite:
        refuse_taken(work, pool.ledger)
    _check_space(work, folder, checkpoint.scale)
    order = {job: k for k, job in enumerate(work)}
    records: dict[int, Enhanced] = {}
    number = 1 if cluster else _processes(work, pool, runners, jobs)
    if cluster:
        workers = Workers(
            cluster, pool, checkpoint.path, options, root, folder, overwrite=overwrite
        )
        done_by = workers.run(work)
    elif number > 1:
        runner = runners[0] if runners else Runner(checkpoint.generator)
        setup = Setup(
            checkpoint.path,
            options,
            tuple(each.device for each in runners) or (runner.device,),
            runner.precision,
            runner.compiled,
            root,
            folder,
            overwrite,
            number,
        )
        done_by = Crew(setup, pool).run(work)
    else:
        done_by = pool.run(work)
    for done in done_by:
        if done:
            records[order[done[0]]] = done[1]
        if progress:
            progress(int(1000 * (len(records) + pool.fraction)), 1000 * len(work))
    finish_stores([job for job, k in order.items() if records[k].status != "failed"])
    rows = [records[k] for k in sorted(records)]
    others = [] if holds_images(source) else _beside(pool, {job.target.absolute() for job in work})
    write_table(folder / ENHANCED_TABLE, others + rows)
    write_planes(folder / CHECKED_TABLE, map(vars, others + rows))
    return rows


def make_runners(
    checkpoint: Checkpoint,
    device: str = "auto",
    devices: int = 1,
    *,
    precision: str = "auto",
    compiled: bool | None = None,
) -> list[Runner]:
    """The network on each device, from the one that is named on.

    Raises
    ------
    CellqaError
        There are not so many devices.
    """
    first = choose_device(device)
    begin = first.index or 0
    there = number_of(first) - begin
    if devices > there:
        raise CellqaError(
            f"--devices {devices}: there is {there} {first.type} device here, from {device} on"
        )
    places = [first]
    if first.type == "cuda":
        places = [torch.device("cuda", begin + k) for k in range(devices)]
    return [
        Runner(
            copy.deepcopy(checkpoint.generator) if k else checkpoint.generator,
            place,
            precision=precision,
            compiled=compiled,
        )
        for k, place in enumerate(places)
    ]


def _beside(pool: Pool, targets: set[Path]) -> list[Enhanced]:
    """What is known of other files of the folder, where they are enhanced one by one."""
    rows = []
    for target, known in sorted(pool.ledger.records().items()):
        if target not in targets and isinstance(known.get("image"), str):
            record = Enhanced(known["image"])
            take_over(record, {k: v for k, v in known.items() if k in NOTED})
            rows.append(record)
    return rows


def write_table(path: Path, records: Sequence[Enhanced]) -> None:
    """Write enhanced.csv."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ([cell(getattr(r, name), 6) for name in COLUMNS] for r in records)
    write_csv(path, list(COLUMNS), lines)


def write_planes(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write checked.csv, of files of several planes: a line for each plane that was looked at."""
    lines = [
        [record["image"], *(cell(value, 6) for value in plane)]
        for record in records
        if record.get("status") != "failed"
        for plane in record.get("looked", ())
    ]
    if lines:
        write_csv(path, ["image", "plane", "rsp", "rse", "unlike"], lines)
    else:
        path.unlink(missing_ok=True)  # of an earlier run


def disagreeing(records: Sequence[Enhanced]) -> list[str]:
    """A line for each image whose result does not explain its raw image, the worst first."""
    worst = sorted((r for r in records if r.rsp < _DISAGREES), key=lambda r: r.rsp)
    return [
        f"{r.image} does not explain its raw image: rsp {r.rsp:.3f}"
        + (f" (plane {r.worst})" if r.worst else "")
        for r in worst
    ]


def doubts(records: Sequence[Enhanced], *, hot_removed: bool = False) -> list[str]:
    """What to doubt of results: values cut off, images unlike the training's, hot pixels."""
    cut = [r for r in records if r.clipped > _CUT]
    hot = [r for r in records if r.hot and not hot_removed]
    unlike = [r for r in records if r.unlike > 1 and r.status != "failed"]
    lonely = [r for r in records if r.without]
    told = []
    if cut:
        most = max(cut, key=lambda r: r.clipped)
        told.append(
            f"{len(cut)} images have values beyond what the network, or their type, can hold: "
            f"they were cut off (most in {most.image}: {most.clipped:.1%}); see `clipped` in "
            f"{ENHANCED_TABLE}, and --normalize image"
        )
    if lonely:
        told.append(
            f"{len(lonely)} of {len(records)} images have no {lonely[0].without}, which the "
            "network was trained with: it sees the plane itself in their place (stacks, series, or "
            "files called pos1_t00 or pos1_z03 have neighbours)"
        )
    if unlike:
        most = max(unlike, key=lambda r: r.unlike)
        told.append(
            f"{len(unlike)} of {len(records)} images are unlike those that the network was trained "
            f"on (most {most.image}: {most.unlike:.1f} of what is usual): what it makes of them "
            f"may be invented; see `unlike` in {ENHANCED_TABLE}, and train on such images"
        )
    if hot:
        most = max(hot, key=lambda r: r.hot or 0)
        told.append(
            f"{len(hot)} images have hot pixels (most in {most.image}: {most.hot}), of which "
            "networks make stars: --hot-pixels remove enhances without them"
        )
    return told


def _processes(work: Sequence[Job], pool: Pool, runners: Sequence[Runner], jobs: int | None) -> int:
    """Processes for what is not done yet."""
    if jobs == 1 or (jobs is None and (not runners or runners[0].device.type != "cuda")):
        return 1
    fresh = [job for job in work if not pool.ledger.seen(job)]
    if jobs is not None or not fresh:
        return min(jobs or 1, max(1, len(fresh)))
    number = processes_for(len(fresh), bytes_each(fresh) * len(fresh), runners[0].device)
    return max(number, len(runners)) if number > 1 else 1


def _check_space(work: list[Job], folder: Path, scale: int) -> None:
    """Refuse to begin where not even the size of the sources, enlarged, is free."""
    needed = scale**2 * sum(job.source.stat().st_size for job in work if job.source.is_file())
    free = free_space(folder)
    if free < needed:
        raise CellqaError(
            f"OUT: {needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free there"
        )
