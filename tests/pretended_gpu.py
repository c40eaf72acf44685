"""A pretended graphics processor: it is only remembered what lies on which device.

Tensors are ordinary ones, and compute what they would without this. Where each lies is remembered
by its storage, and told when it is asked for its device. What torch refuses of a real one is
refused: an operation on tensors of two devices, a generator of the wrong one, an array of what is
not on the processor. Of tensors that torch makes inside of its own functions nothing is known.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
ACROSS = {"copy_", "_to_copy", "_copy_from", "set_", "_local_scalar_dense"}
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
UNCHANGED = {"_parse_to", "device"}
MOVES = {"cuda": GPU, "cpu": CPU}
ASKED: dict[Any, Callable[[torch.device], object]] = {
    torch.Tensor.device.__get__: lambda device: device,
    torch.Tensor.is_cuda.__get__: lambda device: device == GPU,
    torch.Tensor.is_cpu.__get__: lambda device: device == CPU,
}


class GpuGenerator(torch.Generator):
    """One that draws on the pretended device."""


class Places:
    """Where storages lie; a reference to each keeps its number from another one."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[StorageWeakRef, torch.device]] = {}

    def put(self, tree: Any, device: torch.device) -> Any:
        for tensor in tensors_in(tree):
            storage = tensor.untyped_storage()
            self.known[storage._cdata] = StorageWeakRef(storage), device
        return tree

    def find(self, tensor: Tensor) -> torch.device | None:
        _, device = self.known.get(tensor.untyped_storage()._cdata, (None, None))
        return device

    def of(self, tensor: Tensor) -> torch.device:
        return self.find(tensor) or CPU


class Operations(TorchDispatchMode):
    """Compares where the tensors of each operation lie, those of backward passes too."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        given = tensors_in((args, kwargs))
        if name in ACROSS:
            results, device = func(*args, **kwargs), self.places.find(given[0]) if given else None
            return (
                results
                if name == "_to_copy" or device is None
                else self.places.put(results, device)
            )
        device = self._device(name, given)
        refuse_generator(name, device, kwargs.get("generator"))
        results = func(*args, **kwargs)
        return results if device is None else self.places.put(results, device)

    def _device(self, name: str, given: list[Tensor]) -> torch.device | None:
        """Say where an operation computes; a number on the processor may go everywhere."""
        if name in INDEXED and self.places.find(given[0]) == GPU:
            return GPU
        found = {(self.places.find(tensor), tensor.dim() > 0) for tensor in given}
        if (GPU, True) in found or (GPU, False) in found:
            if (CPU, True) in found:
                shown = [f"{self.places.find(each)} {tuple(each.shape)}" for each in given]
                raise RuntimeError(f"{name}: expected all tensors on one device: {shown}")
            return GPU
        return CPU if any(device == CPU for device, _ in found) else None


class Functions(TorchFunctionMode):
    """Tells where tensors lie, moves them, and makes them where they are wanted."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if func in ASKED:
            return ASKED[func](self.places.of(args[0]))
        if name in UNCHANGED:
            return func(*args, **kwargs)
        if name in MOVES:
            return self._moved(MOVES[name], torch.Tensor.to, args[:1], {})
        if name in {"numpy", "__array__"} and self.places.of(args[0]) == GPU:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self._called(func, name, args, kwargs)

    def _called(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        wanted = self._wanted(name, args, kwargs)
        args, kwargs = tree_map(lambda leaf: CPU if is_device(leaf) else leaf, (args, kwargs))
        if name == "to" and wanted is not None:
            return self._moved(wanted, func, args, kwargs)
        refuse_generator(name, wanted, kwargs.get("generator"))
        made = func(*args, **kwargs)
        if wanted is None and not tensors_in((args, kwargs)):
            wanted = CPU
        return made if wanted is None else self.places.put(made, wanted)

    def _wanted(self, name: str, args: Any, kwargs: Any) -> torch.device | None:
        if name == "__deepcopy__":
            return self.places.of(args[0])
        if name == "to" and len(args) > 1 and isinstance(args[1], Tensor):
            return self.places.of(args[1])
        named = [torch.device(leaf) for leaf in tree_leaves((args, kwargs)) if is_device(leaf)]
        return None if not named else GPU if named[0].type == "cuda" else CPU

    def _moved(
        self, wanted: torch.device, func: Callable[..., Tensor], args: Any, kwargs: Any
    ) -> Tensor:
        moved = func(*args, **kwargs)
        if self.places.of(args[0]) == wanted:
            return moved
        return self.places.put(moved.clone(), wanted)


def tensors_in(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def is_device(leaf: Any) -> bool:
    named = isinstance(leaf, str) and leaf.partition(":")[0] in {"cuda", "cpu"}
    return named or isinstance(leaf, torch.device)


def refuse_generator(
    name: str, device: torch.device | None, generator: torch.Generator | None
) -> None:
    if device == GPU and generator is not None and not isinstance(generator, GpuGenerator):
        raise RuntimeError(f"{name}: expected a 'cuda' device type for generator but found 'cpu'")


@contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch, free_bytes: int = 1 << 30) -> Iterator[Places]:
    """Let there be a graphics processor with so much memory."""
    state = [torch.zeros(16, dtype=torch.uint8)]
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_properties": lambda device: SimpleNamespace(uuid="a", name="pretended"),
        "mem_get_info": lambda device=None: (free_bytes, free_bytes),
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
        "get_rng_state": lambda device=0: state[0].clone(),
        "set_rng_state": lambda new, device=0: state.__setitem__(0, new.clone()),
        "device": lambda device: nullcontext(),
        "synchronize": lambda device=None: None,
        "empty_cache": lambda: None,
        "is_bf16_supported": lambda *args: True,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
    on_processor = torch.Generator

    def generator(device: Any = CPU) -> torch.Generator:
        return GpuGenerator() if torch.device(device).type == "cuda" else on_processor()

    monkeypatch.setattr(torch, "Generator", generator)
    places = Places()
    with Functions(places), Operations(places):
        yield places
