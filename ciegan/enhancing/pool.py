"""A network and its pipelines, which enhance what comes from one folder into another."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch

from cellqa.disk import alone, remove_temporary
from cellqa.enhance.files import Job
from cellqa.io import keeps_planes, split_suffix
from ciegan.enhancing.beside import files_beside
from ciegan.enhancing.enhanced import Enhanced
from ciegan.enhancing.enhancer import EnhanceOptions, NetworkEnhancer
from ciegan.enhancing.ledger import LEDGER, Ledger, Notes, part_of
from ciegan.enhancing.pipeline import Pipeline
from ciegan.network.checkpoint import Checkpoint, content_hash
from ciegan.network.runner import Runner


class Pool:
    """A network and its pipelines, which enhance what comes from `source` into `target`.

    Parameters
    ----------
    checkpoint : Checkpoint
    options : EnhanceOptions
    runners : sequence of Runner
    source, target : Path
        Folders.
    overwrite : bool
    part : int, optional
        Which of several processes this is: it notes what it does in a journal of its own, and
        somebody else keeps others out of the target.
    model : str, optional
        The hash of the weights, where that is known.
    spread : Path, optional
        The folder of spread maps, where it is not the one beside the target.
    noted : bool
        Keep the ledger in memory; somebody else writes it.

    Attributes
    ----------
    ledger : Ledger
    model : str
        The hash of the weights.
    context : Context
        Neighbours that the network looks at.
    scale : int
        Times that images are enlarged for it.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        options: EnhanceOptions,
        runners: Sequence[Runner],
        source: Path,
        target: Path,
        *,
        overwrite: bool = False,
        part: int | None = None,
        model: str | None = None,
        spread: Path | None = None,
        noted: bool = False,
    ) -> None:
        self.context, self.scale = checkpoint.context, checkpoint.scale
        self.model = model = model or content_hash(checkpoint.path)
        settings = f"{model} {json.dumps(options.as_settings(), sort_keys=True)}"
        settings = f"{settings} {version('cellqa')}"
        journal = target / LEDGER
        kind = Notes if noted else Ledger
        place = journal if part is None else part_of(journal, part)
        beside = partial(files_beside, context=checkpoint.context)
        self.ledger = kind(place, settings, beside, check=options.check)
        runners = runners or [Runner(checkpoint.generator, torch.device("cpu"))]
        self.pipelines = []
        for runner in runners:
            network = NetworkEnhancer(checkpoint, options, runner)
            for _ in range(runner.pipelines):
                self.pipelines.append(
                    Pipeline(
                        network,
                        self.ledger,
                        lambda path: path.relative_to(source).as_posix(),
                        network.describe(model),
                        overwrite=overwrite,
                        spread_of=lambda path: spread_path(path, target, spread),
                    )
                )

    @property
    def fraction(self) -> float:
        """Of the files in work that is done, summed over the pipelines."""
        return sum(pipeline.fraction for pipeline in self.pipelines)

    def run(self, work: Iterable[Job]) -> Iterator[tuple[Job, Enhanced] | None]:
        """Yield what became of each file as it is done, and None from time to time.

        Raises
        ------
        CellqaError
            Another process is at work in the target.
        """
        with self.alone():
            yield from self.serve(work)

    def stop(self) -> None:
        """End after the files in work."""
        for pipeline in self.pipelines:
            pipeline.stop()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out of the target: each would do what the other does."""
        folder = self.ledger.path.parent
        with alone(folder, "OUT"):
            self.ledger.gather()
            self.tidy(self.ledger.begun())
            yield

    def tidy(self, places: Iterable[Path]) -> None:
        """Remove what a kill left in folders where nobody is writing."""
        folder = self.ledger.path.parent.absolute()
        for place in places:
            if folder not in (place, *place.parents):
                continue  # of the journal of a folder that was moved
            remove_temporary(place)
            remove_temporary(spread_path(place / "any.tif", folder).parent)

    def serve(self, work: Iterable[Job]) -> Iterator[tuple[Job, Enhanced] | None]:
        """`run`, for who sees to it that no other process works in the target."""
        shared = _Shared(work)
        done: queue.Queue[tuple[Job, Enhanced] | BaseException | None] = queue.Queue()

        def serve(pipeline: Pipeline) -> None:
            try:
                for item in pipeline.run(shared):
                    done.put(item)
            except BaseException as error:  # belongs to the one who waits
                done.put(error)
            done.put(None)

        threads = [
            threading.Thread(target=serve, args=(pipeline,), daemon=True)
            for pipeline in self.pipelines
        ]
        for thread in threads:
            thread.start()
        left = len(threads)
        try:
            while left:
                try:
                    item = done.get(timeout=0.5)
                except queue.Empty:
                    yield None
                    continue
                if item is None:
                    left -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
        finally:
            shared.stop()
            self.stop()
            for thread in threads:
                thread.join()
            self.ledger.close()


class _Shared:
    """Work that several lines take from."""

    def __init__(self, work: Iterable[Job]) -> None:
        self._work = iter(work)
        self._lock = threading.Lock()
        self._stopped = False

    def __iter__(self) -> Iterator[Job]:
        return self

    def __next__(self) -> Job:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._work)

    def stop(self) -> None:
        """Give no more out."""
        self._stopped = True


def spread_path(target: Path, folder: Path, spread: Path | None = None) -> Path:
    """Where the spread of a target goes: beside the folder of results, or beside a lone file.

    `spread` is another folder for all of them.

    Examples
    --------
    >>> from pathlib import Path
    >>> print(spread_path(Path("out/well1/a.png"), Path("out")).as_posix())
    out-spread/well1/a.tif
    """
    stem, suffix = split_suffix(target.name)
    kept = suffix if keeps_planes(target.name) else ".tif"
    place = os.path.relpath(target.parent, folder)
    return (spread or beside(folder, "spread")) / place / f"{stem}{kept}"


def beside(folder: Path, what: str) -> Path:
    """A folder beside that of the results, for what else comes of them."""
    return folder.with_name(f"{folder.name}-{what}") if folder.name else folder / what
