"""Validation at the size of the network's input."""

from typing import Dict

from mmcv.transforms import BaseTransform

from mmtat.registry import TRANSFORMS


@TRANSFORMS.register_module()
class EvaluateResized(BaseTransform):
    """Let predictions be compared with the resized label.

    mmsegmentation resizes every prediction to the image's original size
    before it is compared, so that a label which was resized with its image
    would not fit. TaT's authors warp both to one square.

    It stands behind the resizing of image and label.

    Required keys: ``img_shape`` and ``gt_seg_map``, (H, W) of that shape.
    Modified key: ``ori_shape``.

    Raises:
        ValueError: The label has not the size of the image.
    """

    def transform(self, results: Dict) -> Dict:
        """Forget the original size.

        Args:
            results (dict): Of the pipeline.

        Returns:
            dict: The same.

        Raises:
            ValueError: See the class.
        """
        shape = tuple(results['img_shape'][:2])
        label = results.get('gt_seg_map')
        if label is None or label.shape[:2] != shape:
            found = 'no label' if label is None else f'one of {label.shape}'
            raise ValueError(
                'EvaluateResized: gt_seg_map must have the size of the '
                f'image, {shape}, got {found}; put LoadAnnotations before '
                'Resize, and both before EvaluateResized'
            )
        results['ori_shape'] = shape
        return results

    def __repr__(self) -> str:
        """The call that makes it."""
        return f'{type(self).__name__}()'
