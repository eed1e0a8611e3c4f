"""The training loop: features of a photo once, the loss of several draws of its pixels, one update (supplement)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import nn

from softseg.errors import ConvergenceError, InputError
from softseg.training.batches import Batch, Batches, Draw, batches_from
from softseg.training.boundaries import accumulate_boundaries
from softseg.training.checkpoints import Log, export, prepare_run, restore, save_checkpoint
from softseg.training.datasets import LabelledPhotos
from softseg.training.loss import metric_loss
from softseg.training.networks import Vectors, find_network, load_initial
from softseg.training.optimization import RunningMean, make_optimizer, set_rates
from softseg.training.processes import Precision, launch
from softseg.training.recipes import Recipe
from softseg.training.validation import validate

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class State(NamedTuple):
    """How far a run is, for whoever follows it.

    values : the losses or scores that were just computed.
    note : or a sentence about something else.
    """

    step: int
    steps: int
    seconds_left: float
    values: Mapping[str, float]
    note: str = ""


def train(
    recipe: Recipe,
    photos: LabelledPhotos,
    validation: Mapping[str, LabelledPhotos],
    folder: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    precision: Precision = "32",
    devices: int | None = None,
    nodes: int | None = None,
    tell: Callable[[State], None] | None = None,
) -> None:
    """Train a network of features, or of boundaries.

    Parameters
    ----------
    recipe : every number of the run.
    photos : what it learns from.
    validation : further photos by the name of their set; each set is scored apart.
    folder : gets `checkpoint.pt`, `log.jsonl`, `tensorboard/`, and `model.safetensors` with `recipe.json`.
    resume : go on from the checkpoint in `folder`, if there is one. On the CPU, with the same number of threads, the
        result is bit for bit that of a run that was never cut off.
    device : "auto", "cpu" or "cuda".
    precision : "bf16" computes the network in bfloat16 where that is safe; the loss stays in float32.
    devices, nodes : how many on each machine, and how many machines; None: 1, or as many as `torchrun` has started.
    tell : is called, in the first process only, with every entry of the log. A photo without any label trains nothing
        and is noted there.

    Raises
    ------
    DeviceError : the device is not there, or not as many of them.
    InputError, ModelError, OutputError : the recipe, a photo, the weights or the folder cannot be used.
    ConvergenceError : the loss is no longer a number.

    Examples
    --------
    >>> import tempfile
    >>> from softseg.training.shapes import Shapes
    >>> tiny = Recipe(network="tiny", steps=2, draws=1, pixels=20)
    >>> with tempfile.TemporaryDirectory() as run:
    ...     train(tiny, Shapes(2), {}, Path(run), device="cpu")
    ...     sorted(path.name for path in Path(run).iterdir())
    ['checkpoint.pt', 'log.jsonl', 'model.safetensors', 'recipe.json', 'tensorboard']
    """
    fabric = launch(device, precision, devices, nodes)
    checkpoint = prepare_run(folder, recipe, photos.names, fabric.world_size, resume=resume)
    fabric.barrier()  # no process may find the run that another one has begun
    network, notes = _built(recipe, fresh=checkpoint is None)
    average = RunningMean(network, recipe.average)
    optimizer = make_optimizer(network, recipe)
    parts: dict[str, Any] = {"network": network, "average": average.network, "optimizer": optimizer}
    average.network.to(fabric.device)
    boundaries = find_network(recipe.network).boundaries
    module, optimizer = fabric.setup(network if boundaries else Vectors(network), optimizer)
    first = 0 if checkpoint is None else restore(folder, checkpoint, parts)
    log = _Journal(folder, first, recipe.steps, tell) if fabric.is_global_zero else None
    batches = Batches(photos, recipe, fabric.global_rank, fabric.world_size)
    pinned = fabric.device.type == "cuda"

    with log or nullcontext():
        if log is not None:
            log.remarks(first, notes)
            if first == recipe.steps:  # a run may have been cut off between its last checkpoint and its weights
                export(folder, recipe, average.network)
        for step, batch in enumerate(
            batches_from(batches, first, recipe.steps, recipe.workers, pinned=pinned), first + 1
        ):
            if log is not None:
                log.remarks(step, batch.notes)
            loss = _update(fabric, module, optimizer, batch, recipe, step)
            average.update(step)
            last = step == recipe.steps
            if step % recipe.log_every == 0 or step == 1 or last:
                mean = _mean_over_processes(fabric, loss)
                if log is not None:
                    log.note(step, {"loss": mean, "rate": recipe.rate(step - 1)})
            if step % recipe.validate_every == 0 or last:
                board = None if log is None else log.board
                scores = validate(fabric, average.network, validation, recipe, board, step)
                if log is not None:
                    log.note(step, scores)
            if log is not None and (step % recipe.checkpoint_every == 0 or last):
                state = {name: part.state_dict() for name, part in parts.items()}
                state |= {"step": step, "processes": fabric.world_size}
                save_checkpoint(folder, recipe, photos.names, state)
                export(folder, recipe, average.network)


def _update(
    fabric: Fabric, module: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, recipe: Recipe, step: int
) -> float:
    """One step of the optimiser, counted from 1; returns the loss before it."""
    module.train()
    set_rates(optimizer, recipe.rate(step - 1))
    torch.manual_seed(_seed(recipe.seed, step, fabric.global_rank))  # of dropout: nothing to save for a resume
    if find_network(recipe.network).boundaries:
        loss = accumulate_boundaries(fabric, module, batch)
    else:
        loss = accumulate(fabric, module, batch, recipe)
    if not math.isfinite(loss):
        raise ConvergenceError(
            f"the loss is {loss} at step {step}; lower head_rate and base_rate, or set clip_norm, and begin again"
        )
    if recipe.clip_norm:
        norm = fabric.clip_gradients(module, optimizer, max_norm=recipe.clip_norm, error_if_nonfinite=False)
        if norm is not None and not math.isfinite(norm):
            raise ConvergenceError(
                f"the norm of the gradient is {float(norm)} at step {step}; lower head_rate and base_rate, "
                "and begin again"
            )
    optimizer.step()
    optimizer.zero_grad()
    return loss


def accumulate(fabric: Fabric, module: nn.Module, batch: Batch, recipe: Recipe) -> float:
    """Add the gradient of the mean loss of all draws to the parameters; returns that loss.

    The features of a photo are computed once, for all its draws. The gradient of every draw is summed at the features,
    one n x n table at a time, and sent through the network once: by the chain rule the same as once for each draw.
    """
    share = 1 / (len(batch.images) * recipe.draws)
    total = 0.0
    for photo, image in enumerate(batch.images):
        draws = [draw for draw in batch.draws if draw.photo == photo]
        # Processes exchange their gradients once, with the last photo; so it takes part even without a draw.
        last = photo == len(batch.images) - 1
        if draws or last:
            with fabric.no_backward_sync(cast(Any, module), enabled=not last):
                pixels = torch.cat([draw.pixels for draw in draws] or [torch.zeros(1, dtype=torch.int64)])
                vectors = module(_planes(image, fabric.device), pixels.to(fabric.device, non_blocking=True))
                gradient, loss = _gradient(vectors, draws, share, recipe)
                fabric.backward(vectors, gradient=gradient)
                total += loss
    return total


def _gradient(vectors: torch.Tensor, draws: list[Draw], share: float, recipe: Recipe) -> tuple[torch.Tensor, float]:
    """The gradient, at the vectors (n, D) of all draws of a photo, of `share` times their losses; and its value."""
    leaf = vectors.detach().float().requires_grad_()
    total = leaf.new_zeros(())
    for draw, part in zip(draws, torch.split(leaf, [len(draw.pixels) for draw in draws] or [1]), strict=False):
        labels = draw.labels.to(leaf.device, non_blocking=True)
        loss = share * metric_loss(part, labels, negatives=recipe.negatives)
        torch.autograd.backward(loss)
        total += loss.detach()
    gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    return gradient.to(vectors.dtype), float(total)


def _planes(image: torch.Tensor, device: torch.device) -> torch.Tensor:
    """(1, 3, h, w) floats in [0, 1] from a uint8 photo."""
    planes = image[None].to(device, non_blocking=True).float() / 255
    return planes.contiguous(memory_format=torch.channels_last)


class _Journal(Log):
    """The log of a run, told also to whoever follows it."""

    def __init__(self, folder: Path, first: int, steps: int, tell: Callable[[State], None] | None) -> None:
        super().__init__(folder, first)
        self._first, self._steps, self._tell = first, steps, tell
        self._start = time.perf_counter()

    def note(self, step: int, values: Mapping[str, float]) -> None:
        if not values:
            return
        self.write(step, **values)
        if self._tell is not None:
            left = (time.perf_counter() - self._start) / (step - self._first) * (self._steps - step)
            self._tell(State(step, self._steps, left, values))

    def remarks(self, step: int, notes: Sequence[str]) -> None:
        for note in notes:
            self.remark(step, note)
            if self._tell is not None:
                self._tell(State(step, self._steps, math.inf, {}, note))


def _built(recipe: Recipe, *, fresh: bool) -> tuple[nn.Module, tuple[str, ...]]:
    """The network of the recipe with the weights from which training starts, and sentences about these."""
    kind = find_network(recipe.network)
    if recipe.crop and kind.fitting(recipe.crop) != recipe.crop:
        raise InputError(
            f"crop is {recipe.crop}, but the network {recipe.network!r} takes multiples of {kind.stride} plus "
            f"{kind.extra}; choose {kind.fitting(recipe.crop)}"
        )
    torch.manual_seed(recipe.seed)
    network = kind.build()
    notes = load_initial(network, kind, Path(recipe.initial)) if recipe.initial and fresh else ()
    # measured: a convolution is twice as fast on a processor
    return cast(nn.Module, cast(Any, network).to(memory_format=torch.channels_last)), notes


def _mean_over_processes(fabric: Fabric, value: float) -> float:
    own = torch.tensor(value, dtype=torch.float64, device=fabric.device)
    return float(cast(torch.Tensor, fabric.all_reduce(own, reduce_op="mean")))


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
