"""What both networks learn from: the weighted terms of the loss, each noted for the log."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from cellqa.errors import CellqaError
from ciegan.config import Losses
from ciegan.losses import TERMS, VGG19, Term, Verdict, discriminator_loss
from ciegan.losses.base import FEATURES, IMAGES, VERDICTS
from ciegan.models import Discriminator


class TrainingError(CellqaError):
    """Training that cannot go on: one line that says why and what to change."""


class Objective:
    """Computes the losses of a step.

    Parameters
    ----------
    losses : Losses
    vgg : VGG19, optional
        For terms that see its features.
    """

    def __init__(self, losses: Losses, vgg: VGG19 | None = None) -> None:
        self.losses, self.vgg = losses, vgg
        self.terms: dict[str, list[Term]] = {
            what: [term for name, term in TERMS.items() if name in losses.seen(what)]
            for what in (IMAGES, FEATURES, VERDICTS)
        }
        # what a target is taken for matters to some only
        alone = [term.name for term in self.terms[VERDICTS]] == ["adversarial"]
        self._needs_real = losses.gan == "relativistic" or not alone
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def of_discriminator(
        self, discriminator: Discriminator, image: Tensor, source: Tensor, target: Tensor
    ) -> Tensor:
        """How badly enhanced images and targets are told apart."""
        real, _ = discriminator(target, source)
        fake, _ = discriminator(image, source)
        loss = discriminator_loss(real.float(), fake.float(), self.losses.gan)
        self._note("discriminator", loss)
        return loss

    def of_generator(
        self,
        image: Tensor,
        source: Tensor,
        target: Tensor,
        discriminator: Discriminator | None = None,
    ) -> Tensor:
        """Sum of the weighted terms, each noted without its weight.

        Parameters
        ----------
        image, source, target : Tensor, shape (B, C, Y, X)
            What is enhanced, from what, and what it should be; -1 to 1.
        discriminator : Discriminator, optional
            Without it, the terms that see its verdicts are left out.
        """
        values: dict[str, Tensor] = {}
        with torch.autocast(image.device.type, enabled=False):
            full = image.float()
            for term in self.terms[IMAGES]:
                values[term.name] = term.compute(full, target)
        if self.terms[FEATURES]:
            assert self.vgg is not None
            ours, theirs = self.vgg(image), self.vgg(target)
            for term in self.terms[FEATURES]:
                values[term.name] = term.compute(ours, theirs)
        if discriminator is not None:
            ours, theirs = self._verdicts(discriminator, image, source, target)
            for term in self.terms[VERDICTS]:
                values[term.name] = term.compute(ours, theirs, self.losses.gan)
        weights = self.losses.weights
        total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        for name, value in (*values.items(), ("total", total)):
            self._note(name, value)
        return total

    def _verdicts(
        self, discriminator: Discriminator, image: Tensor, source: Tensor, target: Tensor
    ) -> tuple[Verdict, Verdict | None]:
        """Of the enhanced image and of the target; the discriminator learns nothing here."""
        parameters = list(discriminator.parameters())
        for parameter in parameters:
            parameter.requires_grad_(False)
        ours, theirs = Verdict(*discriminator(image, source)), None
        if self._needs_real:
            with torch.no_grad():
                theirs = Verdict(*discriminator(target, source))
        for parameter in parameters:
            parameter.requires_grad_(True)
        return ours, theirs

    def _note(self, name: str, value: Tensor) -> None:
        """Add a loss to its sum, which stays where it is: steps that were captured add to it."""
        value = value.detach().float()
        if name in self._sums:
            self._sums[name].add_(value)
        else:
            self._sums[name] = value.clone()
        self._counts[name] = self._counts.get(name, 0) + 1

    @property
    def counts(self) -> dict[str, int]:
        """How often each loss was noted since it was last asked for."""
        return dict(self._counts)

    def count_again(self, noted: Iterable[str]) -> None:
        """Count losses that a captured step noted, which no Python saw."""
        for name in noted:
            self._counts[name] = self._counts.get(name, 0) + 1

    def check(self, step: int) -> None:
        """Refuse to go on with a loss that is NaN or infinite; waits for the device, once.

        Raises
        ------
        TrainingError
            Which term it was, and what to change.
        """
        for name, total in self._totals().items():
            if not math.isfinite(total):
                raise TrainingError(
                    f"the loss {name} became {total} by step {step}: take a "
                    "lower learning rate (--rate), clip gradients (--set optimizer.clip=1) or give "
                    f"{name} a lower weight; the best weights so far are kept"
                )

    def take(self) -> dict[str, float]:
        """Mean of each term since this was last asked; waits for the device."""
        taken = {name: total / self._counts[name] for name, total in self._totals().items()}
        for total in self._sums.values():
            total.zero_()
        self._counts.clear()
        return taken

    def _totals(self) -> dict[str, float]:
        names = [name for name in self._sums if self._counts.get(name)]
        if not names:
            return {}
        return dict(zip(names, torch.stack([self._sums[n] for n in names]).tolist(), strict=True))
