"""Logs where a distillation pulls, how hard, and how its attention spreads."""

import contextlib
from typing import Any, Dict, Iterator, List, Optional, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmtat.models.losses import TaTLoss
from mmtat.models.utils import kept_random_state
from mmtat.ops import attention_entropy, check_positive
from mmtat.registry import HOOKS

from ..checked_runner import bare_model


@HOOKS.register_module()
class DistillationMonitorHook(Hook):
    """Compare the gradients of task and distillation in the student.

    In every ``interval``-th iteration it runs the batch once more, and logs

    - ``distill_gradient_ratio``: the norm of the gradient that the
      distillation gives the student's backbone over the task's,
    - ``distill_gradient_cosine``: the cosine between the two, in [-1, 1],
    - ``attention_entropy``: where TaT is distilled, the mean entropy of its
      attention, in [0, 1] (see :func:`mmtat.ops.attention_entropy`).

    The training goes on as without it: statistics of norms and random states
    are put back. A student with reentrant activation checkpointing cannot be
    looked at.

    Args:
        interval (int): Iterations from one look to the next, best that of
            the LoggerHook. Defaults to 50.

    Raises:
        ValueError: ``interval`` is no positive integer.
    """

    priority = 'NORMAL'

    def __init__(self, interval: int = 50) -> None:
        check_positive('interval', interval, whole=True)
        self.interval = interval

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Look at the batch before it is trained on.

        Args:
            runner (Runner): Of a ``FrozenTeacherDistill``.
            batch_idx (int): Unused.
            data_batch (dict): Of the data loader.
        """
        # In the iteration that a LoggerHook of this interval logs.
        if (runner.iter + 1) % self.interval:
            return
        model = bare_model(runner)
        wrapper = runner.optim_wrapper
        with _undisturbed(model), wrapper.optim_context(runner.model):
            measured = _measure(model, data_batch)
        for name, value in measured.items():
            runner.message_hub.update_scalar(f'train/{name}', value)


def _measure(model: nn.Module, batch: Any) -> Dict[str, float]:
    entropies: List[Tensor] = []

    def note(module: nn.Module, inputs: Sequence[Tensor]) -> None:
        query, key = inputs[:2]
        entropies.append(attention_entropy(query.detach(), key.detach()))

    handles = [
        module.register_forward_pre_hook(note)
        for module in model.modules()
        if isinstance(module, TaTLoss)
    ]
    try:
        data = model.data_preprocessor(batch, True)
        losses = model(**data, mode='loss')
    finally:
        for handle in handles:
            handle.remove()
    task = _gradient(model, losses, 'student.')
    distillation = _gradient(model, losses, 'distill.')
    measured = {}
    if task is not None and distillation is not None:
        cosine = torch.cosine_similarity(task, distillation, dim=0)
        measured = dict(
            distill_gradient_ratio=float(distillation.norm() / task.norm()),
            distill_gradient_cosine=float(cosine),
        )
    if entropies:
        measured['attention_entropy'] = float(torch.stack(entropies).mean())
    return measured


def _gradient(
    model: nn.Module, losses: Dict[str, Any], prefix: str
) -> Optional[Tensor]:
    """The gradient of some losses in the student's backbone: (P, )."""
    chosen = [
        loss if isinstance(loss, Tensor) else sum(loss)
        for name, loss in losses.items()
        if name.startswith(prefix) and 'loss' in name
    ]
    total = sum(loss.sum() for loss in chosen)
    if not isinstance(total, Tensor) or not total.requires_grad:
        return None
    parameters = [
        parameter
        for parameter in model.student.backbone.parameters()
        if parameter.requires_grad
    ]
    gradients = torch.autograd.grad(
        total, parameters, retain_graph=True, materialize_grads=True
    )
    return torch.cat([gradient.flatten().float() for gradient in gradients])


@contextlib.contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Buffers and random states return to what they were."""
    buffers = {n: b.detach().clone() for n, b in model.named_buffers()}
    try:
        # Augmentations of batches draw numbers.
        with kept_random_state():
            yield
    finally:
        for name, buffer in model.named_buffers():
            if name in buffers:
                buffer.copy_(buffers[name])
