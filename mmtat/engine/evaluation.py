"""Options of a test run: painted images, saved predictions, TTA."""

import os
import os.path as osp
from typing import Any, Dict, List, Sequence

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from torch import Tensor
from torch.utils._pytree import tree_map

from mmtat.files import save_atomically
from mmtat.registry import METRICS

from .plain import to_plain


@METRICS.register_module()
class PredictionFile(BaseMetric):
    """Saves the predictions of a test run beside its metrics.

    The file is a list with a dict for each sample, of tensors and Python's
    own values: ``torch.load(path, weights_only=True)`` reads it.

    Args:
        path (str): Of the file.
        **kwargs: Of ``BaseMetric``.
    """

    def __init__(self, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._path = path

    def process(self, data_batch: Any, data_samples: Sequence[Dict]) -> None:
        """Keep the predictions of a batch.

        Args:
            data_batch (Any): Unused.
            data_samples (Sequence[dict]): A dict for each sample, with
                tensors of any shape and dtype.
        """
        self.results += [
            to_plain(tree_map(_on_cpu, dict(sample)), 'prediction')
            for sample in data_samples
        ]

    def compute_metrics(self, results: List[Dict]) -> Dict[str, float]:
        """Write the file, in the first process.

        Args:
            results (list[dict]): Of all processes, in the order of the data.

        Returns:
            dict: Empty.

        Raises:
            ValueError: The file cannot be written.
        """
        save_atomically(results, self._path)
        return {}


def _on_cpu(value: Any) -> Any:
    # A view would take the whole batch along to the other processes.
    return value.detach().cpu().clone() if isinstance(value, Tensor) else value


def draw_predictions(config: Config, folder: str) -> None:
    """Save the images with their predictions painted on.

    Args:
        config (Config): Changed in place.
        folder (str): Where to.

    Raises:
        ValueError: The config has no visualization hook.
    """
    hook = config.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError(
            '--show-dir needs default_hooks.visualization in the config, '
            "such as dict(type='SegVisualizationHook')"
        )
    if hook.type == 'VisualizationHook':
        # mmpretrain's hook has a folder of its own, and draws single views.
        if config.test_dataloader.dataset.pipeline[-1].type == 'TestTimeAug':
            raise ValueError(
                '--show-dir cannot draw the views of --tta for a classifier; '
                'leave one of them out'
            )
        hook.update(enable=True, interval=1, out_dir=folder)
    else:
        hook.update(draw=True, interval=1)
        config.visualizer.save_dir = folder


def save_predictions(config: Config, out: str) -> None:
    """Save the predictions of a test run.

    Args:
        config (Config): Changed in place.
        out (str): A folder for segmentation; otherwise a file, .pth for
            :class:`PredictionFile` or .pkl for mmengine's pickle, which the
            tools of the OpenMMLab packages read.

    Raises:
        ValueError: A file of another kind.
    """
    evaluator = config.get('test_evaluator')
    if evaluator is None:
        raise ValueError(
            '--out needs test_evaluator in the config, beside which the '
            'predictions are saved'
        )
    single = not isinstance(evaluator, (list, tuple))
    if single and evaluator.type == 'IoUMetric':
        evaluator.update(output_dir=out, keep_results=True)
        return
    if out.endswith('.pth'):
        _make_folder(osp.dirname(out) or '.')
        dump = dict(type='mmtat.PredictionFile', path=out)
    elif out.endswith('.pkl'):
        dump = dict(type='mmengine.DumpResults', out_file_path=out)
    else:
        raise ValueError(
            f'--out must be a .pth or a .pkl file here, got {out!r}'
        )
    metrics = [evaluator] if single else list(evaluator)
    config.test_evaluator = metrics + [dump]


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f'--out: the folder {folder!r} cannot be made: {error.strerror}'
        ) from error


def use_tta(config: Config) -> None:
    """Test with the config's test-time augmentation.

    Args:
        config (Config): Changed in place; mmpretrain's configs that define
            none get a horizontal flip.

    Raises:
        ValueError: The config defines none.
    """
    is_classifier = config.get('default_scope') == 'mmpretrain'
    if 'tta_model' not in config and is_classifier:
        config.tta_model = dict(type='mmpretrain.AverageClsScoreTTA')
    if 'tta_pipeline' not in config and is_classifier:
        pipeline = list(config.test_dataloader.dataset.pipeline)
        flips = [
            dict(type='mmpretrain.RandomFlip', prob=prob)
            for prob in (1.0, 0.0)
        ]
        augmented = dict(
            type='TestTimeAug', transforms=[flips, [pipeline[-1]]]
        )
        config.tta_pipeline = pipeline[:-1] + [augmented]
    if 'tta_model' not in config or 'tta_pipeline' not in config:
        raise ValueError(
            '--tta needs tta_model and tta_pipeline in the config'
        )
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.model = dict(config.tta_model, module=config.model)
    # mmpretrain's top-level preprocessor is the student's, not the wrapper's.
    preprocessor = config.get('data_preprocessor')
    if preprocessor is not None:
        config.model['module'].setdefault('data_preprocessor', preprocessor)
        config.pop('data_preprocessor')
