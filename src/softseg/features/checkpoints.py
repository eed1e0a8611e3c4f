"""Weights of the seed's network: imported from TensorFlow, kept as safetensors, loaded; every shape is checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from softseg.errors import ModelError
from softseg.features.formats import FORMATS, stated_format
from softseg.features.resnet import block_names
from softseg.features.seed_network import SeedNetwork, SeedSizes
from softseg.features.tensorflow_checkpoint import TensorflowCheckpoint
from softseg.files import write_atomically

FORMAT = FORMATS["seed"]
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_HYPERCOLUMN = (0, 1, 3, 4, 5)  # numbers of the taps in the released names
_SLOTS = ("Adam", "Adam_1", "Momentum", "RMSProp", "RMSProp_1", "Adagrad", "Ftrl", "Ftrl_1", "ExponentialMovingAverage")
_COUNTERS = ("global_step", "beta1_power", "beta2_power", "save_counter", "_CHECKPOINTABLE_OBJECT_GRAPH")
_NAMED_AT_MOST = 8


@dataclass(frozen=True)
class ImportReport:
    """What an import found and wrote.

    tensors, parameters : how many were written, all of them together.
    ignored : variables of an optimizer, which use does not need.
    extra : variables that the network does not have, not written either.
    digest : SHA-256 of the index of the checkpoint, which holds a checksum of every variable.
    """

    output: Path
    tensors: int
    parameters: int
    ignored: tuple[str, ...]
    extra: tuple[str, ...]
    digest: str


def import_checkpoint(path: str | Path, output: str | Path, sizes: SeedSizes | None = None) -> ImportReport:
    """Convert a TensorFlow V2 checkpoint of the seed's network to a safetensors file.

    Kernels turn from (rows, columns, in, out) to (out, in, rows, columns), matrices from (in, out), or (1, 1, in, out),
    to (out, in).

    Parameters
    ----------
    path : `NAME.index` or `NAME`; the data files lie beside it.
    output : the file to be written or replaced; its folder exists.
    sizes : of the network; None: those of the released one.

    Returns
    -------
    The report, with everything named that was not needed.

    Raises
    ------
    ModelError : the checkpoint is damaged, or a variable is missing, of another shape or not finite; all that are
        missing or of another shape are named together, and nothing is written.
    OutputError : the file cannot be written.

    Examples
    --------
    >>> import_checkpoint("nothing.index", "seed.safetensors")
    Traceback (most recent call last):
    softseg.errors.ModelError: there is no checkpoint index nothing.index; give the path of NAME.index
    """
    checkpoint = TensorflowCheckpoint(path)
    names = tensorflow_names(sizes)
    shapes = _shapes(sizes)
    _check_variables(checkpoint, names, shapes)
    tensors = {key: _converted(checkpoint, name, shapes[key]) for key, name in names.items()}
    digest = checkpoint.digest()
    save_seed_tensors(tensors, output, {"source": checkpoint.index.name, "source_index_sha256": digest})
    others = sorted(set(checkpoint.entries) - set(names.values()))
    return ImportReport(
        output=Path(output),
        tensors=len(tensors),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        ignored=tuple(name for name in others if _is_of_optimizer(name)),
        extra=tuple(name for name in others if not _is_of_optimizer(name)),
        digest=digest,
    )


def tensorflow_names(sizes: SeedSizes | None = None) -> dict[str, str]:
    """The variable in the released checkpoint for each entry of the network's state.

    Examples
    --------
    >>> tensorflow_names()["base.stages.3.3b1.branch2a.convolution.weight"]
    'res3b1_branch2a/weights'
    """
    return dict(_pairs(sizes or SeedSizes()))


def save_seed_tensors(tensors: Mapping[str, torch.Tensor], output: str | Path, about: Mapping[str, str]) -> None:
    """Write a state of the network as safetensors, atomically, with its format and `about` as metadata.

    Raises
    ------
    OutputError : the file cannot be written.
    """
    from safetensors.torch import save

    data = save({key: tensor.contiguous() for key, tensor in tensors.items()}, {"format": FORMAT, **about})
    write_atomically(output, lambda file: file.write(data))


def load_seed_network(path: str | Path, sizes: SeedSizes | None = None, batch_statistics: bool = True) -> SeedNetwork:
    """The network with the weights of a file that `import_checkpoint`, `save_seed_tensors` or a training wrote.

    Parameters
    ----------
    path : the safetensors file, in single or half precision.
    sizes : of the network; None: those of the released one.
    batch_statistics : as in `SeedNetwork`.

    Returns
    -------
    The network in float32 on the CPU, in evaluation mode, ready for use.

    Raises
    ------
    ModelError : no such file, damaged, of another format, or a tensor is missing, unknown or of another shape.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise ModelError(f"there is no file {path}; softseg models import writes one from a checkpoint")
    network = SeedNetwork(sizes, batch_statistics)
    state = network.state_dict()  # shares the network's memory: what is copied into it is in the network
    try:
        with safe_open(path, framework="pt") as file:
            found = stated_format(file.metadata())
            if found != FORMAT:
                raise ModelError(f"{path} has the format {found!r}, expected {FORMAT!r}; import the checkpoint again")
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            _check_shapes(shapes, {key: tuple(value.shape) for key, value in state.items()}, str(path))
            with torch.no_grad():
                for key, value in state.items():
                    value.copy_(file.get_tensor(key))
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read: {error}; import the checkpoint again") from error
    return network.eval()


def _pairs(sizes: SeedSizes) -> Iterator[tuple[str, str]]:
    yield from _convolution("base.conv1", "conv1", "bn_conv1")
    for stage, block in block_names(sizes.blocks):
        for branch in ("branch1", "branch2a", "branch2b", "branch2c"):
            if branch != "branch1" or block == f"{stage}a":
                own = f"base.stages.{stage}.{block}.{branch}"
                yield from _convolution(own, f"res{block}_{branch}", f"bn{block}_{branch}")
    for index, number in enumerate(_HYPERCOLUMN):
        yield f"taps.{index}.weight", f"hypercolumn_layers/hc_cv_{number}/weights"
        yield f"taps.{index}.bias", f"hypercolumn_layers/hc_cv_{number}/biases"
    for layer in ("fc1", "fc2"):
        yield f"{layer}.reduce.weight", f"{layer}_matting/linear/fc_weights1"
        yield f"{layer}.expand.weight", f"{layer}_matting/linear/fc_weights2"
        yield f"{layer}.expand.bias", f"{layer}_matting/linear/biases"
    yield "fc3.weight", "fc3_matting/linear/fc_weights1"
    yield "fc3.bias", "fc3_matting/linear/fc_biases"


def _convolution(own: str, convolution: str, norm: str) -> Iterator[tuple[str, str]]:
    yield f"{own}.convolution.weight", f"{convolution}/weights"
    for part, name in _NORM.items():
        yield f"{own}.norm.{part}", f"{norm}/{name}"


def _shapes(sizes: SeedSizes | None) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):  # shapes only, no memory
        return {key: tuple(value.shape) for key, value in SeedNetwork(sizes).state_dict().items()}


def _tensorflow_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes in which a tensor of this shape may be stored."""
    match shape:
        case (channels, channels_in, rows, columns):
            return [(rows, columns, channels_in, channels)]
        case (channels, channels_in):
            return [(channels_in, channels), (1, 1, channels_in, channels)]
    return [shape]


def _check_variables(
    checkpoint: TensorflowCheckpoint, names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    wrong = []
    for key, name in names.items():
        entry, expected = checkpoint.entries.get(name), _tensorflow_shapes(shapes[key])
        if entry is None:
            wrong.append(f"missing {name}")
        elif entry.shape not in expected:
            wrong.append(f"{name} has shape {entry.shape} instead of {expected[0]}")
    if wrong:
        others = sorted(set(checkpoint.entries) - set(names.values()))
        wrong += [f"unknown {name}" for name in others if not _is_of_optimizer(name)]
        raise ModelError(_not_the_network(str(checkpoint.index), wrong))


def _check_shapes(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], subject: str) -> None:
    wrong = [f"missing {key}" for key in expected if key not in found]
    wrong += [f"unknown {key}" for key in found if key not in expected]
    wrong += [
        f"{key} has shape {found[key]} instead of {shape}"
        for key, shape in expected.items()
        if key in found and found[key] != shape
    ]
    if wrong:
        raise ModelError(_not_the_network(subject, wrong))


def _not_the_network(subject: str, wrong: list[str]) -> str:
    more = f"; and {len(wrong) - _NAMED_AT_MOST} more" if len(wrong) > _NAMED_AT_MOST else ""
    return (
        f"{subject} does not hold the seed's network: {'; '.join(wrong[:_NAMED_AT_MOST])}{more}; "
        "use a checkpoint of that network, under the names that softseg.features.checkpoints.tensorflow_names gives"
    )


def _converted(checkpoint: TensorflowCheckpoint, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The variable in float32 and in our order of axes."""
    values = checkpoint.read(name).astype(np.float32)
    if not np.isfinite(values).all() or (name.endswith("/moving_variance") and values.min() < 0):
        raise ModelError(
            f"the variable {name} of {checkpoint.index} holds numbers that no training leaves; train again"
        )
    if len(shape) == 4:
        values = values.transpose(3, 2, 0, 1)
    elif len(shape) == 2:
        values = values.reshape(values.shape[-2:]).T
    return torch.from_numpy(np.ascontiguousarray(values))


def _is_of_optimizer(name: str) -> bool:
    parts = name.split("/")
    return parts[-1] in _SLOTS or parts[-1] in _COUNTERS
