"""Models of a config side by side, and what they predict."""

import copy
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.device import get_device
from mmengine.model import BaseModel

from mmtat.models.utils import (
    build_model,
    load_teacher,
    read_state_dict,
    resolve_model_config,
    without_pretrained,
)

from ..checkpoint_check import check_fit
from ..dataset_check import datasets_of
from ..inspected import built, is_distillation
from ..student_config import student_config
from .images import Picture, loads_files
from .trained import teacher_source

#: The teacher's name among the models.
TEACHER = 'teacher'


def parse_named(texts: Sequence[str]) -> Dict[str, str]:
    """Read the checkpoints of the command line.

    Args:
        texts (Sequence[str]): Each ``NAME=FILE``.

    Returns:
        dict[str, str]: Files by their names, in the order given.

    Raises:
        ValueError: Something else, a name that comes twice, or none.
    """
    named: Dict[str, str] = {}
    for text in texts:
        name, _, file = text.partition('=')
        if not name or not file:
            raise ValueError(
                '--checkpoints must be NAME=FILE, such as alone=iter_1000.pth;'
                f' got {text!r}'
            )
        if name in named or name == TEACHER:
            raise ValueError(
                f'--checkpoints: the name {name!r} is taken; choose another'
            )
        named[name] = file
    if not named:
        raise ValueError('--checkpoints: give at least one NAME=FILE')
    return named


def load_models(
    config: Config,
    checkpoints: Dict[str, str],
    with_teacher: bool = False,
    teacher_ckpt: Optional[str] = None,
) -> Dict[str, BaseModel]:
    """The student with each of its checkpoints, and the teacher.

    Args:
        config (Config): Of a distillation, or of the student alone.
        checkpoints (dict[str, str]): Files by their names.
        with_teacher (bool): Whether the teacher is loaded. Defaults to
            False.
        teacher_ckpt (str, optional): By default the config's.

    Returns:
        dict[str, BaseModel]: By name, in eval mode, on the GPU where there
        is one.

    Raises:
        ValueError: A checkpoint is of another model, or the config has no
            teacher.
    """
    if with_teacher and not is_distillation(config):
        raise ValueError(
            '--teacher: the config is no distillation, and names no teacher'
        )
    alone = student_config(config)
    models = {}
    for name, file in checkpoints.items():
        state_dict = read_state_dict(file, f'--checkpoints {name}')
        model = built(alone)
        check_fit(model, state_dict, strict=True)
        models[name] = model
    if with_teacher:
        source = teacher_source(config, teacher_ckpt)
        wanted, _ = resolve_model_config(config.model.teacher, 'teacher')
        teacher = build_model(without_pretrained(wanted), 'teacher')
        load_teacher(teacher, source)
        models[TEACHER] = teacher
    return {name: m.to(get_device()).eval() for name, m in models.items()}


class Predictor:
    """Runs models on images through the config's test pipeline.

    Args:
        config (Config): Of a run.

    Raises:
        ValueError: It has no test pipeline.
    """

    def __init__(self, config: Config) -> None:
        datasets = list(datasets_of(config, ('test_dataloader',)))
        datasets += datasets_of(config, ('val_dataloader',))
        if not datasets or not datasets[0].get('pipeline'):
            raise ValueError(
                'config: it has no test_dataloader with a pipeline, by which '
                'images are prepared'
            )
        steps = [
            copy.deepcopy(step)
            for step in datasets[0]['pipeline']
            if not str(step.get('type')).endswith('Annotations')
        ]
        self._pipeline = Compose(steps)
        self._loads_files = loads_files(config)

    def __call__(self, model: BaseModel, picture: Picture, path: str) -> Any:
        """Predict.

        Args:
            model (BaseModel): In eval mode.
            picture (Picture): The image.
            path (str): Its file.

        Returns:
            np.ndarray: (H, W) classes of a segmentor at the image's own
            size, or (K, ) scores of a classifier.

        Raises:
            ValueError: The model predicts something else.
        """
        results: Dict[str, Any] = dict(img_path=path)
        if not self._loads_files:
            size = picture.size
            results.update(img=picture.pixels, img_shape=size, ori_shape=size)
        prepared = self._pipeline(results)
        batch = {key: [value] for key, value in prepared.items()}
        with torch.no_grad():
            sample = model.test_step(batch)[0]
        return prediction_of(sample, model)


def prediction_of(sample: Any, model: BaseModel) -> np.ndarray:
    """The prediction in a data sample.

    Args:
        sample (BaseDataElement): Of a segmentor or a classifier.
        model (BaseModel): That gave it, for the message.

    Returns:
        np.ndarray: (H, W) classes, int64, or (K, ) scores, float32.

    Raises:
        ValueError: The model predicts something else.
    """
    if 'pred_sem_seg' in sample:
        return sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int64)
    if 'pred_score' in sample:
        return sample.pred_score.cpu().numpy().astype(np.float32)
    raise ValueError(
        'config: only segmentors of mmsegmentation and classifiers of '
        f'mmpretrain can be compared, got {type(model).__name__}'
    )


def predict_all(
    config: Config,
    models: Dict[str, BaseModel],
    pictures: Sequence[Picture],
    paths: Sequence[str],
) -> List[Dict[str, np.ndarray]]:
    """What each model predicts for each image.

    Args:
        config (Config): Of a run.
        models (dict[str, BaseModel]): By name.
        pictures (Sequence[Picture]): The images.
        paths (Sequence[str]): Their files.

    Returns:
        list[dict[str, np.ndarray]]: For each image, by the model's name.

    Raises:
        ValueError: The models are of a kind that cannot be compared.
    """
    predictor = Predictor(config)
    images: List[Tuple[Picture, str]] = list(zip(pictures, paths))
    return [
        {name: predictor(model, *image) for name, model in models.items()}
        for image in images
    ]
