"""The package reads from top to bottom: a layer imports only from those before it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import softseg

PACKAGE = Path(softseg.__file__).parent

# What is in one group may import from each other, but not in a circle.
LAYERS = [
    ("errors",),
    ("settings",),
    ("checks", "compiled", "decode", "devices", "files", "images", "progress", "threads", "vectors"),
    ("features",),
    ("graph",),
    ("spectrum",),
    ("segments",),
    ("layers",),
    ("pipeline",),
    ("baselines",),
    ("training",),
    ("evaluation",),
    ("cli", "web"),
    ("__main__",),
]
RANK = {name: rank for rank, group in enumerate(LAYERS) for name in group}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path, *, at_run_time: bool = False) -> Iterator[str]:
    """Modules of this package that the file imports; at run time: not those in functions or for type checkers."""
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif at_run_time and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        elif at_run_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes.extend(node.orelse)
        else:
            nodes.extend(ast.iter_child_nodes(node))


def layer_of(module: str) -> str:
    return module.split(".")[1]


def own(names: Iterator[str]) -> list[str]:
    return [name for name in names if name.split(".")[0] == "softseg"]


@pytest.mark.parametrize("module", [name for name in MODULES if name != "softseg"])
def test_imports_only_from_earlier_layers(module: str) -> None:
    assert layer_of(module) in RANK, f"{module} has no place among the layers: give it one"
    for imported in own(imports(MODULES[module])):
        assert imported != "softseg", f"{module} imports the package itself, which stands above everything"
        here, there = layer_of(module), layer_of(imported)
        assert here == there or RANK[there] <= RANK[here], f"{module} imports {imported}, which comes after it"
        if RANK[here] == RANK[there] and here != there:
            assert len(LAYERS[RANK[here]]) > 1


def test_errors_stand_alone() -> None:
    assert not own(imports(MODULES["softseg.errors"]))


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: set(own(imports(path, at_run_time=True))) & set(MODULES) for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for imported in sorted(graph[name]):
                visit(imported, (*trail, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


def python(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_import_is_cheap() -> None:
    heavy = "{'numba', 'numpy', 'PIL', 'rich', 'scipy', 'skimage', 'tifffile', 'torch', 'typer'}"
    assert python(f"import sys, softseg; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_the_command_line_says_its_version_without_the_heavy_libraries() -> None:
    code = (
        "import sys\n"
        "from softseg.cli.main import main\n"
        "sys.argv = ['softseg', '--version']\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({'numba', 'scipy', 'skimage', 'torch'} & set(sys.modules)))"
    )
    version, heavy = python(code).splitlines()
    assert version == f"softseg {softseg.__version__}"
    assert heavy == "[]"


def test_the_compiler_is_loaded_only_when_a_kernel_is_needed() -> None:
    assert [name for name, path in MODULES.items() if "numba" in own_and_others(path)] == ["softseg.compiled"]
    kernels = {name for name, path in MODULES.items() if "softseg.compiled" in imports(path)}
    assert kernels == {
        "softseg.features.guided_kernel",
        "softseg.graph.diagonals_kernel",
        "softseg.graph.laplacian_kernel",
        "softseg.graph.matting_kernel",
        "softseg.graph.stencil_kernel",
        "softseg.graph.stencil_vectors",
        "softseg.segments.forces_kernel",
        "softseg.segments.gradient_kernel",
        "softseg.segments.grams_kernel",
        "softseg.segments.relaxed_kernel",
        "softseg.segments.simplex_kernel",
        "softseg.segments.systems_kernel",
        "softseg.spectrum.coarse_space_kernel",
        "softseg.spectrum.galerkin_kernel",
        "softseg.vectors",
    }
    for name, path in MODULES.items():
        if name in kernels:
            continue  # it may be made of parts of another
        assert not kernels & set(imports(path, at_run_time=True)), f"{name} imports a kernel before it is needed"


def own_and_others(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def test_public_names_exist_and_are_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert set(softseg.__all__) <= set(dir(softseg))
    for name in softseg.__all__:
        assert getattr(softseg, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        softseg.nonsense  # noqa: B018
