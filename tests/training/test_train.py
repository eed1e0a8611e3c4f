"""The loop: one big draw, overfitting, exact resume, a full disk, bad requests."""

from __future__ import annotations

import dataclasses
import errno
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from softseg.errors import ConvergenceError, DeviceError, InputError, ModelError, OutputError
from softseg.training import checkpoints, metric_loss
from softseg.training.batches import Batches
from softseg.training.datasets import UnlabelledError
from softseg.training.networks import TinyNetwork, Vectors
from softseg.training.recipes import Recipe, change
from softseg.training.shapes import Shapes
from softseg.training.train import State, accumulate, train

from .conftest import TINY, Run, losses

# Gradients


@pytest.mark.parametrize("negatives", [0.0, 3.0])
def test_accumulating_ten_draws_equals_one_backward_pass_of_their_mean(negatives: float) -> None:
    recipe = Recipe(network="tiny", draws=10, batch=2, pixels=30, negatives=negatives)
    batch = Batches(Shapes(4), recipe)[0]
    torch.manual_seed(0)
    network = TinyNetwork().double()
    fabric = Fabric(accelerator="cpu")
    loss = accumulate(fabric, fabric.setup_module(Doubled(network)), batch, recipe)
    accumulated = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    network.zero_grad()
    terms = []
    for draw in batch.draws:
        features = network(batch.images[draw.photo][None].double() / 255)
        terms.append(metric_loss(features[0].flatten(1)[:, draw.pixels].T, draw.labels, negatives=negatives))
    assert len(terms) == 20
    mean = torch.stack(terms).mean()
    mean.backward()
    assert loss == pytest.approx(float(mean.detach()), rel=1e-5)
    assert len(accumulated) == 6
    expected = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    largest = max(float(gradient.abs().max()) for gradient in expected)
    for found, gradient in zip(accumulated, expected, strict=True):
        # The loss of a step is computed in float32. The gradient of the last bias is 0: it moves all features alike.
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-6 * largest)


class Doubled(Vectors):
    """In float64, so that only the loss itself rounds."""

    def forward(self, image: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        return super().forward(image.double(), pixels)


class Blank(Shapes):
    """Photos in which nothing is labelled."""

    def load(self, i: int, rng: np.random.Generator | None = None) -> Any:
        sample = super().load(i, rng)
        blank = sample._replace(labels=np.full_like(sample.labels, -1))
        raise UnlabelledError(f"{sample.name} has no label", blank)


def test_a_photo_without_labels_trains_nothing() -> None:
    recipe = Recipe(network="tiny", draws=2)
    batch = Batches(Blank(1), recipe)[0]
    assert batch.notes == ("shapes-0 has no label",)
    network, fabric = TinyNetwork(), Fabric(accelerator="cpu")
    assert batch.draws == [] and accumulate(fabric, fabric.setup_module(Vectors(network)), batch, recipe) == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in network.parameters())


# Learning


STILL = {"jitter": 0.0, "scale_least": 1.0, "scale_most": 1.0, "checkpoint_every": 200, "validate_every": 200}


def test_synthetic_shapes_are_learned_to_nearly_no_loss(run: Run, tmp_path: Path) -> None:
    log = run(tmp_path, steps=200, **STILL)
    curve = [entry["loss"] for entry in log if "loss" in entry]
    assert curve[0] > 0.4 and np.mean(curve[-10:]) < 0.01  # measured: 0.0026
    assert log[-1]["auc/shapes"] > 0.999


def test_the_seed_s_loss_optimiser_and_rates_learn_them_too(run: Run, tmp_path: Path) -> None:
    seed = {name: getattr(Recipe(), name) for name in OF_THE_SEED}
    log = run(tmp_path, steps=150, **STILL, **seed)
    curve = [entry["loss"] for entry in log if "loss" in entry]
    assert np.mean(curve[-10:]) < 0.05 * curve[0]  # measured: 0.01
    assert log[-1]["auc/shapes"] > 0.999


def test_the_seed_s_network_and_recipe_do_not_diverge(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from softseg.features.seed_network import SeedNetwork, SeedSizes
    from softseg.training import networks

    sizes = SeedSizes(blocks=(1, 1, 1, 1), width=8)
    monkeypatch.setitem(networks.NETWORKS, "tiny", networks.Kind(lambda: SeedNetwork(sizes)))
    options = {name: getattr(Recipe(), name) for name in OF_THE_SEED} | {"average": 0.0, "batch": 1, "pixels": 400}
    curve = [entry["loss"] for entry in run(tmp_path, steps=8, **STILL, **options) if "loss" in entry]
    assert max(curve[4:]) < curve[0]


OF_THE_SEED = ("negatives", "optimizer", "base_rate", "head_rate", "momentum", "weight_decay", "schedule", "clip_norm")


def test_what_a_run_leaves(run: Run, tmp_path: Path) -> None:
    log = run(tmp_path, stored="float16")
    assert [entry["step"] for entry in log if "loss" in entry] == list(range(1, 13))
    assert [entry["step"] for entry in log if "auc/shapes" in entry] == [6, 12]
    weights = load_file(tmp_path / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float16}
    TinyNetwork().load_state_dict(weights)
    assert json.loads((tmp_path / "recipe.json").read_text())["network"] == "tiny"
    assert not list(tmp_path.glob(".softseg-*"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert set(board.Tags()["scalars"]) == {"loss", "rate", "auc/shapes"}
    assert board.Tags()["images"] == ["shapes/shapes-0"]
    assert [picture.step for picture in board.Images("shapes/shapes-0")] == [6, 12]


def test_the_seed_s_network_is_exported_as_features_load_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from softseg.features.checkpoints import load_seed_network
    from softseg.features.seed_network import SeedNetwork, SeedSizes
    from softseg.training import networks

    sizes = SeedSizes(blocks=(1, 1, 1, 1), width=8)
    small = dataclasses.replace(networks.NETWORKS["seed"], build=lambda: SeedNetwork(sizes))
    monkeypatch.setitem(networks.NETWORKS, "seed", small)
    run(tmp_path, network="seed", steps=1)
    network = load_seed_network(tmp_path / "model.safetensors", sizes)
    trained = checkpoints.load_checkpoint(tmp_path / "checkpoint.pt")["average"]
    assert all(torch.equal(value, trained[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("name", ["tiny", "embedded"])
def test_the_exported_file_names_its_format(name: str, tmp_path: Path) -> None:
    recipe = Recipe(network=name)
    network, written = TinyNetwork(), set()
    for _ in range(5):  # the library's order of metadata varies
        checkpoints.export(tmp_path, recipe, network)
        written.add((tmp_path / "model.safetensors").read_bytes())
    assert len(written) == 1
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": f"softseg-{name}", "recipe": recipe.as_json()}
        assert file.get_tensor("base.weight").shape == (32, 3, 3, 3)


def test_the_exported_weights_are_the_running_mean(run: Run, tmp_path: Path) -> None:
    run(tmp_path)
    checkpoint = checkpoints.load_checkpoint(tmp_path / "checkpoint.pt")
    weights = load_file(tmp_path / "model.safetensors")
    for name, value in weights.items():
        torch.testing.assert_close(value, checkpoint["average"][name])
        assert not torch.equal(value, checkpoint["network"][name])


def test_whoever_follows_hears_of_the_time_left(tiny: Recipe, tmp_path: Path) -> None:
    heard: list[State] = []
    train(tiny, Shapes(2), {}, tmp_path, device="cpu", tell=heard.append)
    assert [state.step for state in heard] == list(range(1, 13))
    assert heard[0].seconds_left > 0 and heard[-1].seconds_left == 0


# Resuming


def test_a_resumed_run_is_the_uninterrupted_one_to_the_last_bit(run: Run, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    stopped = StopAfter(7)
    with pytest.raises(KeyboardInterrupt):
        train(change(Recipe(), TINY), stopped, {"shapes": Shapes(3)}, tmp_path / "cut", device="cpu")
    assert losses(tmp_path / "cut")[-1]["step"] >= 6
    resumed = run(tmp_path / "cut", resume=True)
    assert resumed == whole
    for name in ("network", "average"):
        one, two = (checkpoints.load_checkpoint(tmp_path / run / "checkpoint.pt")[name] for run in ("whole", "cut"))
        assert all(torch.equal(one[key], two[key]) for key in one)
    assert run(tmp_path / "cut", resume=True) == whole  # nothing is left to do


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is there")
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_resumes_on_a_gpu(optimizer: str, tiny: Recipe, tmp_path: Path) -> None:
    recipe = change(tiny, {"optimizer": optimizer})
    train(recipe, Shapes(5), {}, tmp_path / "whole", device="cuda")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, StopAfter(7), {}, tmp_path / "cut", device="cuda")
    train(recipe, Shapes(5), {}, tmp_path / "cut", device="cuda", resume=True)
    curves = [[entry["loss"] for entry in losses(tmp_path / name)] for name in ("whole", "cut")]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-3)


def test_states_are_restored_where_the_parameters_are(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, steps=4)
    order: list[str] = []
    setup, load = Fabric.setup, torch.optim.AdamW.load_state_dict
    monkeypatch.setattr(Fabric, "setup", lambda *args: order.append("moved") or setup(*args))
    monkeypatch.setattr(torch.optim.AdamW, "load_state_dict", lambda *args: order.append("restored") or load(*args))
    run(tmp_path, steps=4, resume=True)
    assert order == ["moved", "restored"]


def test_weights_that_a_kill_kept_from_being_exported_come_with_resume(run: Run, tmp_path: Path) -> None:
    run(tmp_path, steps=4)
    weights = (tmp_path / "model.safetensors").read_bytes()
    for name in ("model.safetensors", "recipe.json"):
        (tmp_path / name).unlink()
    run(tmp_path, steps=4, resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == weights and (tmp_path / "recipe.json").exists()


class StopAfter(Shapes):
    """Ctrl-C while the photos of a step are read."""

    def __init__(self, steps: int) -> None:
        super().__init__(5)
        self._left = 2 * steps

    def load(self, i: int, rng: np.random.Generator | None = None) -> Any:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return super().load(i, rng)


@pytest.mark.slow
def test_kill_9_and_resume_give_the_loss_curve_of_a_run_left_alone(tmp_path: Path) -> None:
    data = folder_of_shapes(tmp_path / "data")
    recipe = {**TINY, "steps": 20}
    (tmp_path / "tiny.json").write_text(json.dumps(recipe))
    command = [sys.executable, "-m", "softseg", "train", "--config", str(tmp_path / "tiny.json"), "--device", "cpu"]
    command += ["--data", f"folder:{data}", "--validation", f"folder:{data}", "--quiet", "-o"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, **quiet)
    cut = tmp_path / "cut"
    killed = [sys.executable, "-c", KILLED_IN_STEP_15, str(data), str(tmp_path / "tiny.json"), str(cut)]
    assert subprocess.run(killed, check=False, **quiet).returncode == -signal.SIGKILL
    assert losses_so_far(cut)[-1]["step"] == 14
    assert checkpoints.load_checkpoint(cut / "checkpoint.pt")["step"] == 12
    subprocess.run([*command, str(cut), "--resume"], check=True, **quiet)
    assert losses(cut) == losses(tmp_path / "whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]


KILLED_IN_STEP_15 = """
import os, signal, sys
from pathlib import Path
from softseg.training.datasets import Folder
from softseg.training.recipes import Recipe, load_recipe
from softseg.training.train import train

class Killed(Folder):
    loads = 0

    def load(self, i, rng=None):
        self.loads += 1
        if self.loads > 2 * 14:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().load(i, rng)

data, config, output = map(Path, sys.argv[1:])
recipe = load_recipe(config, Recipe())
train(recipe, Killed(data), {"folder": Folder(data)}, output, device="cpu")
"""


def losses_so_far(folder: Path) -> list[dict[str, float]]:
    """Without a last line that the kill cut off."""
    lines = (folder / "log.jsonl").read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]


def folder_of_shapes(folder: Path, count: int = 4) -> Path:
    shapes = Shapes(count)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for i in range(count):
        image, labels, name = shapes.load(i)
        Image.fromarray(image).save(folder / "images" / f"{name}.png")
        Image.fromarray((labels + 1).astype(np.uint8)).save(folder / "labels" / f"{name}.png")
    return folder


@pytest.mark.slow
def test_two_processes_train_together(tmp_path: Path) -> None:
    data = folder_of_shapes(tmp_path / "data")
    command = [sys.executable, "-m", "softseg", "train", "--data", f"folder:{data}", "--validation", f"folder:{data}"]
    command += ["-o", str(tmp_path / "run"), "--device", "cpu", "--devices", "2"]
    command += [
        word for name, value in TINY.items() for word in ("--set", f"{name}={json.dumps(value).strip(chr(34))}")
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("12 steps done") == 1 and done.stderr.count("step 12/12: loss") == 1
    log = losses(tmp_path / "run")
    assert [entry["step"] for entry in log if "loss" in entry] == list(range(1, 13))
    assert all(np.isfinite(value) for entry in log for value in entry.values())


def test_another_recipe_or_other_photos_cannot_resume(run: Run, tiny: Recipe, tmp_path: Path) -> None:
    run(tmp_path, steps=4)
    with pytest.raises(InputError, match="begun with steps=4, not 12, draws=2, not 3"):
        run(tmp_path, resume=True, draws=3)
    with pytest.raises(InputError, match="other photos"):
        train(change(tiny, {"steps": 4}), Shapes(6), {}, tmp_path, resume=True, device="cpu")
    assert run(tmp_path, steps=4, resume=True, log_every=2)[-1]["step"] == 4  # this one changes no weight


def test_another_number_of_processes_cannot_resume(run: Run, tiny: Recipe, tmp_path: Path) -> None:
    run(tmp_path, steps=4)
    recipe, names = change(tiny, {"steps": 4}), Shapes(5).names
    with pytest.raises(InputError, match=r"begun with 1 process\(es\), not 2, .* same --devices and --nodes"):
        checkpoints.prepare_run(tmp_path, recipe, names, 2, resume=True)
    edit_checkpoint(tmp_path, lambda state: state.pop("processes"))  # of a version that did not store it
    assert checkpoints.prepare_run(tmp_path, recipe, names, 1, resume=True) is not None
    with pytest.raises(InputError, match="begun with 1 process"):
        checkpoints.prepare_run(tmp_path, recipe, names, 2, resume=True)


def edit_checkpoint(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    edit(state)
    torch.save(state, folder / "checkpoint.pt")


def test_a_run_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    run(tmp_path, steps=4)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(OutputError, match="--resume"):
        run(tmp_path, steps=8)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


# What goes wrong


def full_disk_from(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its `number`-th file on, a run finds the disk full in the middle of writing."""
    written = []
    real = checkpoints.write_atomically

    def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
        if path.name == "checkpoint.pt":
            written.append(path)
        real(path, write if len(written) < number else lambda file: write(FullDisk(file)))  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoints, "write_atomically", write_atomically)


class FullDisk:
    """Takes a hundred bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        self._file.write(bytes(data[:100]))
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_last_good_checkpoint(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole")
    with monkeypatch.context() as disk:
        full_disk_from(2, disk)
        with pytest.raises(OutputError, match="disk is full"):
            run(tmp_path / "cut")
    assert checkpoints.load_checkpoint(tmp_path / "cut" / "checkpoint.pt")["step"] == 4
    assert not list((tmp_path / "cut").glob(".softseg-*"))
    assert run(tmp_path / "cut", resume=True) == whole


@pytest.mark.parametrize("damage", ["truncated", "empty", "pickle", "other"])
def test_damaged_checkpoints_are_refused(damage: str, run: Run, tmp_path: Path) -> None:
    run(tmp_path, steps=4)
    path = tmp_path / "checkpoint.pt"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-500])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "pickle":
        torch.save(Path("a file that runs code when it is read"), path)
    else:
        torch.save({"step": 4}, path)
    with pytest.raises(ModelError, match="is no checkpoint"):
        run(tmp_path, steps=4, resume=True)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda state: state.pop("average"), "lacks average"),
        (lambda state: state.update(recipe="{"), "no checkpoint.*JSONDecodeError"),
        (lambda state: state.update(recipe="[]"), "recipe or step is malformed"),
        (lambda state: state.update(step="4"), "recipe or step is malformed"),
        (lambda state: state["network"].pop("base.bias"), "the network in .*base.bias.*begin again"),
        (lambda state: state["average"].update({"base.bias": torch.zeros(5)}), "the average in .*base.bias.*begin"),
        (lambda state: state["optimizer"]["param_groups"].pop(), "the optimizer in .*begin again"),
        (lambda state: state.update(optimizer=3), "the optimizer in .*begin again"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused(
    edit: Callable[[dict[str, Any]], object], words: str, run: Run, tmp_path: Path
) -> None:
    run(tmp_path, steps=4)
    edit_checkpoint(tmp_path, edit)
    with pytest.raises(ModelError, match=words):
        run(tmp_path, steps=4, resume=True)


class Unstable(nn.Module):
    """A network whose features are no numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float("nan")))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image * self.weight

    def base_parameters(self) -> list[nn.Parameter]:
        return []

    def head_parameters(self) -> list[nn.Parameter]:
        return [self.weight]


def test_a_loss_that_is_no_number_stops_the_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from softseg.training import networks

    monkeypatch.setitem(networks.NETWORKS, "tiny", networks.Kind(Unstable))
    with pytest.raises(ConvergenceError, match="nan at step 1; lower"):
        run(tmp_path, average=0.0)
    assert not (tmp_path / "checkpoint.pt").exists()


class Steep(Unstable):
    """A network whose features are numbers, but the gradient of its weight is none: that of a root at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + image * self.weight.sqrt()


def test_a_gradient_that_is_no_number_stops_the_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from softseg.training import networks

    monkeypatch.setitem(networks.NETWORKS, "tiny", networks.Kind(Steep))
    with pytest.raises(ConvergenceError, match=r"norm of the gradient is (inf|nan) at step 1; lower"):
        run(tmp_path, average=0.0)
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_refused(tiny: Recipe, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no CUDA GPU"):
        train(tiny, Shapes(2), {}, tmp_path / "run", device="cuda")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": "huge"}, "no network 'huge'"),
        ({"base_rate": 0.0, "head_rate": 0.0}, "nothing would be trained"),
        ({"network": "embedded", "crop": 320}, "choose 321"),
    ],
)
def test_impossible_recipes_are_refused(changes: dict[str, Any], words: str, run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        run(tmp_path, **changes)


def test_initial_weights(run: Run, tmp_path: Path) -> None:
    run(tmp_path / "first", steps=4)
    weights = tmp_path / "first" / "model.safetensors"
    run(tmp_path / "second", steps=1, initial=str(weights), base_rate=0.0)
    first, second = load_file(weights), load_file(tmp_path / "second" / "model.safetensors")
    assert torch.equal(first["base.weight"], second["base.weight"])  # frozen, from the file
    assert not torch.equal(first["head.3.weight"], second["head.3.weight"])
    (tmp_path / "broken.safetensors").write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelError, match="no readable safetensors"):
        run(tmp_path / "third", initial=str(tmp_path / "broken.safetensors"))


def test_a_bad_photo_is_named_whichever_process_reads_it(tiny: Recipe, tmp_path: Path) -> None:
    from softseg.training.datasets import Folder

    data = folder_of_shapes(tmp_path / "data")
    Image.fromarray(np.ones((48, 60), np.uint8)).save(data / "labels" / "shapes-2.png")
    for workers in (0, 1):
        with pytest.raises(InputError) as refusal:
            train(change(tiny, {"workers": workers}), Folder(data), {}, tmp_path / f"run{workers}", device="cpu")
        assert "shapes-2.png has labels for 60 x 48" in str(refusal.value) and "Traceback" not in str(refusal.value)


class OneBlank(Shapes):
    """Photo 1 has no label."""

    def load(self, i: int, rng: np.random.Generator | None = None) -> Any:
        return Blank(5).load(i) if i == 1 else super().load(i, rng)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_without_labels_is_left_out_and_noted(workers: int, tiny: Recipe, tmp_path: Path) -> None:
    train(change(tiny, {"workers": workers}), OneBlank(5), {"blank": Blank(2)}, tmp_path, device="cpu")
    log = losses(tmp_path)
    notes = [entry for entry in log if "note" in entry]
    assert 4 <= len(notes) <= 5  # 24 photos of 5
    assert all(entry["note"] == "shapes-1 has no label" for entry in notes)
    assert sum("loss" in entry for entry in log) == 12
    assert "NaN" not in (tmp_path / "log.jsonl").read_text() and not any("auc/blank" in entry for entry in log)
