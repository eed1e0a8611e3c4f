"""The files of a run: the checkpoint from which it resumes, the log, the weights that it yields."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from softseg.errors import InputError, ModelError, OutputError
from softseg.files import output_errors, write_atomically
from softseg.training.networks import find_network
from softseg.training.recipes import Recipe

if TYPE_CHECKING:
    from typing_extensions import Self

CHECKPOINT, LOG, RECIPE, WEIGHTS = "checkpoint.pt", "log.jsonl", "recipe.json", "model.safetensors"
# Fields that may differ when a run is resumed, because they do not change its weights.
_BESIDE = ("log_every", "checkpoint_every", "validate_every", "validation_photos", "panels", "workers", "stored")


def prepare_run(
    folder: Path, recipe: Recipe, names: Sequence[str], processes: int = 1, *, resume: bool
) -> dict[str, Any] | None:
    """Make the folder of a run, or read the checkpoint of the one that is there.

    Parameters
    ----------
    names : of its photos, in their order.
    processes : how many train together: a step sees `recipe.batch` photos for each.

    Returns
    -------
    The checkpoint to go on from; None to begin.

    Raises
    ------
    OutputError : there is a run already and `resume` is not set, or the folder cannot be made.
    InputError : the run there has another recipe, other photos or another number of processes.
    ModelError : its checkpoint is damaged.
    """
    path = folder / CHECKPOINT
    if path.exists() and not resume:
        raise OutputError(f"{folder} holds a run already; go on with it by --resume, or choose another folder")
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return None
    checkpoint = load_checkpoint(path)
    before, now = json.loads(checkpoint["recipe"]), json.loads(recipe.as_json())
    changed = [name for name in now if name not in _BESIDE and before.get(name) != now[name]]
    if changed:
        raise InputError(
            f"the run in {folder} was begun with "
            + ", ".join(f"{name}={before.get(name)!r}, not {now[name]!r}" for name in changed)
            + "; resume it with the same recipe, or begin another in a new folder"
        )
    if checkpoint["photos"] != _digest(names):
        raise InputError(f"the run in {folder} was begun with other photos; resume it with the same --data")
    if (begun := checkpoint.get("processes", 1)) != processes:
        raise InputError(
            f"the run in {folder} was begun with {begun} process(es), not {processes}, and its steps would see "
            "other photos; resume it with the same --devices and --nodes"
        )
    return checkpoint


def save_checkpoint(folder: Path, recipe: Recipe, names: Sequence[str], state: Mapping[str, Any]) -> None:
    """Replace the checkpoint by one of `state`; whatever goes wrong, the one before is untouched.

    Raises
    ------
    OutputError : the disk is full, or the folder cannot be written.
    """
    buffer = BytesIO()  # PyTorch's own writer turns a full disk into a RuntimeError without its reason
    torch.save({**state, "recipe": recipe.as_json(), "photos": _digest(names)}, buffer)
    write_atomically(folder / CHECKPOINT, lambda file: file.write(buffer.getbuffer()))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint as tensors and plain values; nothing in the file is executed.

    Raises
    ------
    ModelError : it is damaged or no checkpoint.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        lacking = {"step", "network", "average", "optimizer", "recipe", "photos"} - set(checkpoint)
        if not lacking and isinstance(json.loads(checkpoint["recipe"]), dict) and type(checkpoint["step"]) is int:
            return dict(checkpoint)
        reason = f"it lacks {', '.join(sorted(lacking))}" if lacking else "its recipe or step is malformed"
    except Exception as error:  # torch raises a different type for each way a file can be damaged
        reason = type(error).__name__ + "".join(f": {line}" for line in str(error).splitlines()[:1])
    raise ModelError(f"{path} is no checkpoint of a run ({reason}); begin again in a new folder")


def restore(folder: Path, checkpoint: Mapping[str, Any], parts: Mapping[str, Any]) -> int:
    """Set networks and optimiser to their states in a checkpoint; returns the step after which it was saved.

    The parts are on their device by now: the state of an optimiser goes where its parameters are.

    Raises
    ------
    ModelError : a state does not fit.
    """
    for name, part in parts.items():
        try:
            part.load_state_dict(checkpoint[name])
        except Exception as error:  # networks and optimisers raise a different type for each way not to fit
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"the {name} in {folder / CHECKPOINT} does not fit this run ({type(error).__name__}: {reason}); begin "
                "again in a new folder"
            ) from error
    return int(checkpoint["step"])


def export(folder: Path, recipe: Recipe, network: torch.nn.Module) -> None:
    """Write the weights, in the precision that the recipe names, and the recipe beside them.

    The metadata of the weights hold their `format`, by which the network is recognised, and the recipe.

    Raises
    ------
    OutputError : the disk is full, or the folder cannot be written.
    """
    from safetensors.torch import save

    kind = getattr(torch, recipe.stored)
    state = {
        name: (value.to(kind) if value.is_floating_point() else value).cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    about = {"format": find_network(recipe.network).format, "recipe": recipe.as_json()}
    data = _in_order(save(state, about))
    write_atomically(folder / WEIGHTS, lambda file: file.write(data))
    write_atomically(folder / RECIPE, lambda file: file.write(recipe.as_json().encode()))


def _in_order(data: bytes) -> bytes:
    """The same safetensors file with its metadata sorted: the library writes them in an order that varies by run."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


class Log:
    """`log.jsonl`, a line of JSON for every entry, and TensorBoard scalars of it; what came after `step` is dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        # TensorBoard would load TensorFlow where it is installed, seconds and much memory, for file systems not used.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ModelError("training writes TensorBoard files; run: pip install 'softseg[train]'") from None
        path = folder / LOG
        kept = [line for line in _lines(path) if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_atomically(path, lambda file: file.write(text.encode()))
        self._path = path
        self._file = path.open("a", encoding="utf-8")
        self.board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, **values: float) -> None:
        """Add an entry, to the curves of TensorBoard too."""
        with output_errors(self._path):
            self._add({"step": step, **values})
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def remark(self, step: int, note: str) -> None:
        """Add a sentence."""
        with output_errors(self._path):
            self._add({"step": step, "note": note})

    def _add(self, entry: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with output_errors(self._path):
            self._file.close()
            self.board.close()


def _lines(path: Path) -> list[dict[str, Any]]:
    """The entries of a log; a last line that was cut off by a kill is left out."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
