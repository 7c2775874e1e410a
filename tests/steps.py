"""Whole steps on toys, for the tests of the modes they can be run in."""

import itertools
from dataclasses import dataclass
from typing import Dict, List

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmtat.models import FrozenTeacherDistill

IMAGES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(4))
#: What of a student is recorded, unless a test says otherwise.
LAYER = 'body.0'


@MODELS.register_module()
class StepSegmentor(BaseModel):
    """A stem, a body of two convolutions, and a head; no random numbers."""

    def __init__(self, width=4, **kwargs):
        super().__init__(**kwargs)
        self.stem = nn.Conv2d(3, width, 3, 1, 1)
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(width, 3, 1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        logits = self.head(self.body(self.stem(inputs)))
        if mode == 'loss':
            return dict(loss_seg=(logits - 1).square().mean())
        return logits


def distiller(stream, norm='image', layer=LAYER, **kwargs):
    """A TaT distiller of two branches."""
    embedding = dict(kernel_size=1, norm=norm)
    branches = dict(
        patch_group=dict(patches=(2, 2), groups=2, loss_weight=0.5),
        anchor_point=dict(anchors=(4, 4)),
    )
    return dict(
        type='mmtat.TaTDistiller',
        layers=[layer],
        query=embedding,
        key=embedding,
        value=embedding,
        branches=branches,
        stream=stream,
        input_size=(32, 32),
        **kwargs,
    )


def config(stream, norm='image', layer=LAYER, **kwargs):
    """Config of an algorithm whose teacher is twice as wide."""
    return dict(
        type='mmtat.FrozenTeacherDistill',
        architecture=dict(type='StepSegmentor'),
        teacher=dict(type='StepSegmentor', width=8),
        distiller=distiller(stream, norm, layer),
        **kwargs,
    )


def build(
    stream, norm='image', layer=LAYER, dtype=torch.float64, **kwargs
) -> FrozenTeacherDistill:
    """The algorithm, always with the same weights."""
    torch.manual_seed(0)
    model = MODELS.build(config(stream, norm, layer, **kwargs))
    return model.to(dtype)


@dataclass
class Training:
    """What some steps gave.

    Attributes:
        losses (list[dict[str, Tensor]]): Of each step.
        gradients (list[dict[str, Tensor]]): As the optimizer got them.
        changes (dict[str, Tensor]): Of the weights, from start to end.
    """

    losses: List[Dict[str, Tensor]]
    gradients: List[Dict[str, Tensor]]
    changes: Dict[str, Tensor]


def train(model, step, steps=3):
    """Take some steps.

    Args:
        model (FrozenTeacherDistill): It.
        step (Callable): Takes the optimizer; returns the losses.
        steps (int): How many.

    Returns:
        Training: What they gave.
    """
    start = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    gradients = []
    optimizer.register_step_pre_hook(
        lambda *args: gradients.append(
            {n: p.grad.clone() for n, p in model.named_parameters()}
        )
    )
    losses = []
    for _ in range(2 * steps):
        own = step(optimizer)
        # Else a gradient of float16 overflowed, and the step was left out.
        if len(gradients) > len(losses):
            losses.append(own)
        if len(losses) == steps:
            break
    end = {n: p.detach() - start[n] for n, p in model.named_parameters()}
    return Training(losses, gradients, end)


def through_wrapper(
    model, images=IMAGES, parts=1, kind=OptimWrapper, **kwargs
):
    """A step as the Runner takes it.

    Args:
        model (BaseModel): Or a wrapper of it.
        images (Tensor): (N, 3, H, W).
        parts (int): Into which they are cut; a step of the optimizer comes
            after the last.
        kind (type): Of the optimizer's wrapper.
        **kwargs: Its arguments.

    Returns:
        Callable: Takes the optimizer; returns the losses' means.
    """
    made = []

    def step(optimizer):
        if not made:
            made.append(kind(optimizer=optimizer, **kwargs))
        logs = [
            model.train_step(dict(inputs=part), made[0])
            for part in images.chunk(parts)
        ]
        return mean_of(logs)

    return step


def by_hand(model, images=IMAGES, parts=1):
    """A plain step: the mean of the losses of the parts, and its gradients."""

    def step(optimizer):
        totals, logs = [], []
        for part in images.chunk(parts):
            total, log = model.parse_losses(model(part, mode='loss'))
            totals.append(total)
            logs.append(log)
        (sum(totals) / parts).backward()
        optimizer.step()
        optimizer.zero_grad()
        return mean_of(logs)

    return step


def with_a_pause(model, step):
    """A step that has no distillation when it is taken for the second time.

    Args:
        model (FrozenTeacherDistill): It.
        step (Callable): Takes the optimizer; returns the losses.

    Returns:
        Callable: Likewise.
    """
    losses = list(model.distiller.tat[0].losses.values())
    weights = [loss.loss_weight for loss in losses]
    steps = itertools.count()

    def paused(optimizer):
        factor = 0.0 if next(steps) == 1 else 1.0
        for loss, weight in zip(losses, weights):
            loss.loss_weight = factor * weight
        return step(optimizer)

    return paused


def mean_of(logs):
    """Of the losses of several parts of a batch."""
    return {
        name: torch.stack([log[name].detach() for log in logs]).mean()
        for name in logs[0]
    }


def plain(stream, norm='image', layer=LAYER, dtype=torch.float64, parts=1):
    """What a plain training gives."""
    model = build(stream, norm, layer, dtype)
    training = train(model, by_hand(model, IMAGES.to(dtype), parts))
    # Or what is compared with it could be nothing.
    assert all(loss > 0 for own in training.losses for loss in own.values())
    for own in (*training.gradients, training.changes):
        assert all(change.any() for change in own.values())
    return training


def assert_same(found, expected, tolerance=1e-9):
    """Losses, gradients and changes of the weights are the same.

    Args:
        found (Training): To be judged.
        expected (Training): Of the plain step.
        tolerance (float): Of a loss, by its value; of a gradient or a
            change, by the largest of its kind in student or distiller.
    """
    for own, other in zip(found.losses, expected.losses, strict=True):
        assert own.keys() == other.keys()
        for name, loss in other.items():
            assert_near(own[name], loss, tolerance * loss.item(), name)
    pairs = zip(
        [*found.gradients, found.changes],
        [*expected.gradients, expected.changes],
        strict=True,
    )
    for own, other in pairs:
        assert own.keys() == other.keys()
        for part in ('architecture.', 'distiller.'):
            names = [name for name in other if name.startswith(part)]
            largest = max(other[name].abs().max().item() for name in names)
            for name in names:
                assert_near(own[name], other[name], tolerance * largest, name)


def assert_near(found, expected, atol, name):
    torch.testing.assert_close(
        found.to(expected),
        expected,
        atol=atol,
        rtol=0,
        msg=lambda text: f'{name}: {text}',
    )


def in_half_precision(model, dtype, images=IMAGES, scale=2.0**8):
    """A step as AMP has it on a GPU, of float16 with a scale that moves.

    Args:
        model (FrozenTeacherDistill): It, of float32.
        dtype (torch.dtype): float16 or bfloat16.
        images (Tensor): (N, 3, H, W).
        scale (float): Of the loss, in the first step.

    Returns:
        Callable: Takes the optimizer; returns the losses.
    """
    device = images.device.type
    is_scaled = dtype == torch.float16
    scaler = torch.amp.GradScaler(device, init_scale=scale, enabled=is_scaled)

    def step(optimizer):
        with torch.autocast(device, dtype):
            losses = model(images, mode='loss')
        total, log = model.parse_losses(losses)
        scaler.scale(total).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        return mean_of([log])

    return step
