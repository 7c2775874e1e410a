"""A student as a function from images to scores or labels."""

from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

#: How a classifier may turn its outputs into scores.
_ACTIVATIONS = dict(
    softmax=lambda logits: logits.softmax(1),
    sigmoid=torch.sigmoid,
    none=lambda logits: logits,
)


class SegmentorNetwork(nn.Module):
    """A segmentor's logits at the size of its input.

    Args:
        model (BaseModel): An ``EncoderDecoder`` of mmsegmentation.
    """

    kind = 'segmentation'
    output = 'logits'

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Segment whole images.

        Args:
            inputs (Tensor): (N, C, H, W), normalised.

        Returns:
            Tensor: (N, K, H, W) for K classes.
        """
        size = inputs.shape[2:]
        meta = dict(ori_shape=size, img_shape=size, pad_shape=size)
        return self.model.encode_decode(inputs, [meta])

    def labels(self, scores: Tensor) -> Tensor:
        """The predicted classes.

        Args:
            scores (Tensor): (N, K, H, W), of :meth:`forward`.

        Returns:
            Tensor: (N, H, W), int64.
        """
        if scores.shape[1] > 1:
            return scores.argmax(1)
        threshold = self.model.decode_head.threshold
        return (scores.sigmoid() > threshold).squeeze(1).long()


class ClassifierNetwork(nn.Module):
    """A classifier's scores.

    Args:
        model (BaseModel): A classifier of mmpretrain.
        activation (str): From outputs to scores: 'softmax', 'sigmoid' or
            'none'.
    """

    kind = 'classification'
    output = 'scores'

    def __init__(self, model: BaseModel, activation: str) -> None:
        super().__init__()
        self.model = model
        self.activation = activation

    def forward(self, inputs: Tensor) -> Tensor:
        """Classify.

        Args:
            inputs (Tensor): (N, C, H, W), normalised.

        Returns:
            Tensor: (N, K) for K classes.
        """
        logits = self.model(inputs, mode='tensor')
        return _ACTIVATIONS[self.activation](logits)

    def labels(self, scores: Tensor) -> Tensor:
        """The class with the highest score.

        Args:
            scores (Tensor): (N, K), of :meth:`forward`.

        Returns:
            Tensor: (N, ), int64.
        """
        return scores.argmax(1)


class TensorNetwork(ClassifierNetwork):
    """Any other model: what it gives in ``mode='tensor'``.

    Args:
        model (BaseModel): That gives one tensor, (N, K, ...).
    """

    kind = 'other'
    output = 'output'

    def __init__(self, model: BaseModel) -> None:
        super().__init__(model, 'none')


class AnyNetwork(TensorNetwork):
    """All that a model gives in ``mode='tensor'``, in one row an image.

    Good for comparing, and for nothing else.

    Args:
        model (BaseModel): That gives tensors, in whatever structure.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Run it.

        Args:
            inputs (Tensor): (N, C, H, W), normalised.

        Returns:
            Tensor: (N, all values).
        """
        values = tree_flatten(self.model(inputs, mode='tensor'))[0]
        # [(N, ...)] -> (N, all values)
        rows = [v.flatten(1) for v in values if isinstance(v, Tensor)]
        return torch.cat(rows, 1) if rows else inputs.new_zeros(0)


@torch.no_grad()
def network_of(
    model: BaseModel, inputs: Tensor, any_output: bool = False
) -> nn.Module:
    """Make a function of a student.

    Args:
        model (BaseModel): In eval mode.
        inputs (Tensor): (N, C, H, W), normalised, to try it on.
        any_output (bool): Whether it may give something else than one tensor
            of scores. Defaults to False.

    Returns:
        nn.Module: A :class:`SegmentorNetwork`, :class:`ClassifierNetwork`,
        :class:`TensorNetwork` or :class:`AnyNetwork`.

    Raises:
        ValueError: It gives no tensor of scores.
    """
    try:
        return _network_of_scores(model, inputs)
    except ValueError:
        network = AnyNetwork(model)
        if not any_output or not network(inputs).numel():
            raise
        return network


def _network_of_scores(model: BaseModel, inputs: Tensor) -> nn.Module:
    if hasattr(model, 'encode_decode'):
        network = SegmentorNetwork(model)
    elif hasattr(model, 'head') and hasattr(model, 'predict'):
        network = ClassifierNetwork(model, _activation(model, inputs))
    else:
        network = TensorNetwork(model)
    scores = network(inputs)
    if not isinstance(scores, Tensor) or scores.dim() < 2:
        raise ValueError(
            f'the student, a {type(model).__name__}, gives '
            f'{_described(scores)}; exported can be what gives one tensor of '
            'scores (N, classes, ...)'
        )
    return network


def _activation(model: BaseModel, inputs: Tensor) -> str:
    """What the head of a classifier does in its own prediction."""
    logits = model(inputs, mode='tensor')
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        raise ValueError(
            f'the head of the student, a {type(model.head).__name__}, gives '
            f'{_described(logits)} in the place of scores (N, classes), and '
            'cannot be exported'
        )
    predicted = _stacked(model.predict(inputs))
    for name, activation in _ACTIVATIONS.items():
        scores = activation(logits)
        if scores.shape == predicted.shape and torch.allclose(
            scores, predicted, rtol=1e-5, atol=1e-6
        ):
            return name
    raise ValueError(
        f'the scores of a {type(model.head).__name__} are neither its '
        'outputs nor their softmax or sigmoid, and cannot be exported'
    )


def _stacked(samples: Any) -> Tensor:
    # [(K, )] * N -> (N, K)
    return torch.stack([sample.pred_score for sample in samples])


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f'a tensor {tuple(value.shape)}'
    if isinstance(value, (list, tuple)):
        return f'{len(value)} values'
    return f'a {type(value).__name__}'
