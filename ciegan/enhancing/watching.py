"""Enhance files as they appear in a folder: each once, none lost, whatever ends the program."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

from cellqa.disk import StrPath
from cellqa.errors import CellqaError
from cellqa.io import is_image_folder
from ciegan.enhancing.dashboard import Dashboard, Watched
from ciegan.enhancing.enhancer import EnhanceOptions
from ciegan.enhancing.pool import Pool
from ciegan.enhancing.watcher import FolderWatcher, WatchOptions
from ciegan.network.checkpoint import Checkpoint
from ciegan.network.runner import Runner


def watch(
    network: Checkpoint | StrPath,
    source: StrPath,
    target: StrPath,
    options: EnhanceOptions | None = None,
    *,
    watching: WatchOptions | None = None,
    runners: Sequence[Runner] = (),
    stop: threading.Event | None = None,
) -> Watched:
    """Enhance what is in a folder and what appears there, until told to stop.

    A file is taken when its writer closes it or it no longer grows; one that fails is taken again
    when it changes. Results, enhanced.csv and watch.html are as after `enhance_files`; the same
    call goes on after any end. A result moves with its source when that is renamed.

    Parameters
    ----------
    network : Checkpoint or path
        As `load` returns it, or takes it.
    source, target : path
        Folders.
    options : EnhanceOptions, optional
    watching : WatchOptions, optional
    runners : sequence of Runner
        The network on each device; by default on the CPU.
    stop : threading.Event, optional
        Ends watching when it is set, after the files in work.

    Raises
    ------
    CellqaError
        The source is not a folder, or the target lies within it.
    """
    source, target = Path(source), Path(target)
    watching = watching or WatchOptions()
    options = options or EnhanceOptions()
    if watching.score:
        options = replace(options, check=True)
    if options.normalize == "folder" and not options.levels:
        raise CellqaError("`normalize` folder needs all images, and here they are yet to come")
    if not source.is_dir() or is_image_folder(source.name):
        raise CellqaError(f"IN: {str(source)!r} is not a folder")
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        raise CellqaError(f"OUT: {str(target)!r} is or lies inside IN; give another folder")
    target.mkdir(parents=True, exist_ok=True)
    pool = Pool(Checkpoint.of(network), options, runners, source, target, overwrite=True)
    watcher = FolderWatcher(pool, source, target, watching)
    if stop:
        watcher.stopped = stop
    watched = Watched()
    dashboard = Dashboard(pool, watcher, source, target, watching, watched)
    observer: Any = (PollingObserver if watching.polling else Observer)()
    observer.schedule(watcher, str(source), recursive=True)
    observer.start()
    try:
        for item in pool.run(watcher):
            if item:
                dashboard.take(*item)
            dashboard.write()
    finally:
        watcher.stopped.set()
        observer.stop()
        observer.join()
        dashboard.write(last=True)
    return watched
