"""Enhance files as they appear in a folder: each once, none lost, whatever ends the program."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

from cellqa.errors import CellqaError
from cellqa.io import is_image_folder
from ciegan.enhancing.dashboard import Dashboard, Watched
from ciegan.enhancing.pool import Pool
from ciegan.enhancing.watcher import FolderWatcher, WatchOptions


def watch(
    shop: Pool,
    source: Path,
    target: Path,
    options: WatchOptions | None = None,
    *,
    stop: threading.Event | None = None,
) -> Watched:
    """Enhance what is in a folder and what appears there, until told to stop.

    A file is taken when its writer closes it or it no longer grows; one that fails is taken again
    when it changes. Results, enhanced.csv and watch.html are as after `enhance_files`; the same
    call goes on after any end. A result moves with its source when that is renamed.

    Parameters
    ----------
    shop : Pool
        From `source` into `target`; it must replace what it made before.
    source, target : Path
        Folders.
    options : WatchOptions, optional
    stop : threading.Event, optional
        Ends watching when it is set, after the files in work.

    Raises
    ------
    CellqaError
        The source is not a folder, or the target lies within it.
    """
    options = options or WatchOptions()
    if not source.is_dir() or is_image_folder(source.name):
        raise CellqaError(f"IN: {str(source)!r} is not a folder")
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        raise CellqaError(f"OUT: {str(target)!r} is or lies inside IN; give another folder")
    target.mkdir(parents=True, exist_ok=True)
    arrivals = FolderWatcher(shop, source, target, options)
    if stop:
        arrivals.stopped = stop
    found = Watched()
    desk = Dashboard(shop, arrivals, source, target, options, found)
    observer: Any = (PollingObserver if options.polling else Observer)()
    observer.schedule(arrivals, str(source), recursive=True)
    observer.start()
    try:
        for item in shop.run(arrivals):
            if item:
                desk.take(*item)
            desk.write()
    finally:
        arrivals.stopped.set()
        observer.stop()
        observer.join()
        desk.write(last=True)
    return found
