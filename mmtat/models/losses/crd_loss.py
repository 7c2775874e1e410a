"""mmrazor's contrastive loss, for every dataset and device."""

import hashlib
from typing import Any, Dict, List

import torch
from mmengine.structures import BaseDataElement
from mmrazor.models.losses import CRDLoss as MMRazorCRDLoss
from torch import Tensor

from mmtat.ops import check_feature, check_positive
from mmtat.registry import MODELS

from .weighted_loss import WeightedLoss


@MODELS.register_module()
class CRDLoss(WeightedLoss):
    """Tell an image's pair of features from those of other images (CRD).

    `Contrastive Representation Distillation
    <https://arxiv.org/abs/1910.10699>`_, Eq. 17-18, by mmrazor's loss and its
    memory, which by itself needs a dataset that numbers its samples, ignores
    its ``loss_weight``, and draws its negatives on the CPU. Here images are
    told apart by their path, or by ``sample_idx`` where they have none, and
    the negatives are drawn, uniformly, where the features are. Features come
    embedded to ``embedding_channels`` and of unit length: see mmrazor's
    ``CRDConnector``. Each process has a memory of the images that it saw.

    Args:
        images (int): Number of training images, the size of the memory.
        negatives (int): Drawn for each image. Defaults to 16384.
        embedding_channels (int): Defaults to 128.
        temperature (float): Defaults to 0.07.
        momentum (float): Of the memory, in [0, 1]. Defaults to 0.5.
        loss_weight (float): Factor of the loss. Defaults to 1.0.

    Raises:
        ValueError: A number that is not positive, a ``momentum`` outside
            [0, 1], or a negative ``loss_weight``.

    Examples:
        >>> loss = CRDLoss(images=8, negatives=4, embedding_channels=2)
        >>> samples = [BaseDataElement(metainfo=dict(sample_idx=3))]
        >>> loss(torch.eye(2)[:1], torch.eye(2)[1:], samples).shape
        torch.Size([])
    """

    def __init__(
        self,
        images: int,
        negatives: int = 16384,
        embedding_channels: int = 128,
        temperature: float = 0.07,
        momentum: float = 0.5,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        check_positive('images', images, whole=True)
        check_positive('negatives', negatives, whole=True)
        check_positive('embedding_channels', embedding_channels, whole=True)
        check_positive('temperature', temperature)
        if not 0 <= momentum <= 1:
            raise ValueError(f'momentum must be in [0, 1], got {momentum!r}')
        self.images = images
        self.negatives = negatives
        self.embedding_channels = embedding_channels
        self.loss = MMRazorCRDLoss(
            temperature=temperature,
            neg_num=negatives,
            sample_n=images,
            dim_out=embedding_channels,
            momentum=momentum,
        )
        # Which image has which place in the memory, as a resumed run needs
        # to know; 0 is a free place.
        self.register_buffer('places', torch.zeros(images, dtype=torch.int64))
        self._index: Dict[int, int] = {}

    def forward(
        self,
        s_feature: Tensor,
        t_feature: Tensor,
        data_samples: List[BaseDataElement],
    ) -> Tensor:
        """Weighted contrastive loss of both features.

        Args:
            s_feature (Tensor): (N, C), of unit length.
            t_feature (Tensor): (N, C), of unit length; may have a gradient.
            data_samples (list[BaseDataElement]): Of the batch, N.

        Returns:
            Tensor: Scalar.

        Raises:
            TypeError: A feature is not a tensor.
            ValueError: Shapes do not fit, an image has no name, or there are
                more than ``images`` images.
        """
        self._check('s_feature', s_feature)
        self._check('t_feature', t_feature)
        device = s_feature.device
        own = self.index_of(data_samples).to(device)
        shape = (len(own), self.negatives)
        others = torch.randint(self.images, shape, device=device)
        # (N, 1), (N, negatives) -> (N, 1 + negatives)
        contrast = torch.cat([own[:, None], others], dim=1)
        numbered = [
            BaseDataElement(sample_idx=one, contrast_sample_idxs=row)
            for one, row in zip(own, contrast)
        ]
        # Its exponentials reach e^14, beyond float16.
        with torch.autocast(device.type, enabled=False):
            loss = self.loss(s_feature.float(), t_feature.float(), numbered)
        # The constants of the first batch would keep its graph.
        self.loss.contrast.params.detach_()
        return self.loss_weight * loss.sum()

    def index_of(self, data_samples: List[BaseDataElement]) -> Tensor:
        """The places of images in the memory; new images get free ones.

        Args:
            data_samples (list[BaseDataElement]): N images.

        Returns:
            Tensor: (N, ), int64 on the CPU.

        Raises:
            ValueError: There are more than ``images`` images, or one has no
                name.
        """
        if not self._index:
            self._index = {
                key: place
                for place, key in enumerate(self.places.tolist())
                if key
            }
        keys = [_key_of(sample) for sample in data_samples]
        for key in keys:
            if key in self._index:
                continue
            if len(self._index) == self.images:
                raise ValueError(
                    f'images={self.images} is less than the training images '
                    'that there are; set it to their number'
                )
            self._index[key] = len(self._index)
        places = torch.tensor([self._index[key] for key in keys])
        # Also of known images: who put the buffer back knows less than this.
        self.places[places.to(self.places.device)] = torch.tensor(
            keys, device=self.places.device
        )
        return places

    def _check(self, name: str, feature: Tensor) -> None:
        check_feature(name, feature, (2,))
        if feature.shape[1] != self.embedding_channels:
            raise ValueError(
                f'{name} must have embedding_channels='
                f'{self.embedding_channels} channels, got '
                f'{tuple(feature.shape)}'
            )

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._index = {}


def _key_of(sample: BaseDataElement) -> int:
    """A number for the image, never 0."""
    names = (sample.get(key) for key in ('img_path', 'sample_idx'))
    name = next((name for name in names if name is not None), None)
    if name is None:
        raise ValueError(
            'data_samples must name their images by img_path or sample_idx; '
            'put one of them into meta_keys of the transform that packs the '
            f'inputs, got {sample.metainfo_keys()}'
        )
    digest = hashlib.sha256(str(name).encode()).digest()
    return int.from_bytes(digest[:7], 'big') + 1
