"""A model on fake tensors, which have shapes and no values."""

from typing import Any, Dict, List

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

#: Elements of a buffer that may hold settings, whose values matter.
_FEW = 64


def to_fake(model: BaseModel, mode: FakeTensorMode) -> Dict[int, List[Any]]:
    """Replace parameters and buffers by fake ones, on the CPU.

    Also of a distillation's teacher. The model cannot be run again without
    the mode.

    Args:
        model (BaseModel): Changed in place.
        mode (FakeTensorMode): That it will be run in.

    Returns:
        dict[int, list]: Elements of small buffers, by the identity of the
        storage that now stands for theirs.
    """
    small: Dict[int, List[Any]] = {}
    fakes: Dict[int, Tensor] = {}
    for module in all_modules(model):
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    # One that several modules share stays shared.
                    if id(tensor) not in fakes:
                        fakes[id(tensor)] = _fake(tensor, mode)
                    tensors[name] = fake = fakes[id(tensor)]
                    is_setting = tensors is module._buffers
                    if is_setting and 0 < tensor.numel() <= _FEW:
                        key = fake.untyped_storage()._cdata
                        small[key] = tensor.flatten().tolist()
    return small


def all_modules(model: BaseModel) -> list:
    """The modules of a model, and of the teacher beside them.

    Args:
        model (BaseModel): A distillation, or a student alone.

    Returns:
        list[nn.Module]: They.
    """
    teacher = getattr(model, 'teacher', None)
    others = teacher.modules() if isinstance(teacher, nn.Module) else ()
    return [*model.modules(), *others]


def _fake(tensor: Tensor, mode: FakeTensorMode) -> Tensor:
    with mode:
        fake = torch.empty_strided(
            tensor.size(), tensor.stride(), dtype=tensor.dtype
        )
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(fake, tensor.requires_grad)
    return fake
