"""From what the command line names to a model that can be wired."""

import os.path as osp
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope

from mmtat.models.utils import (
    build_model,
    load_config,
    resolve_model_config,
    without_pretrained,
)
from mmtat.models.utils.zero_image import input_size

from .layers import Found, find_layers
from .timm_models import check_timm, timm_config
from .trace import Size, trace
from .zoo import close_configs, find_config, reported, zoo_entry

#: In a name, what follows is the recipe: '4xb4-40k_voc12aug-512x512'.
_RECIPE = re.compile(r'_\d+xb\d+.*')


@dataclass
class Model:
    """A student or a teacher.

    Attributes:
        role (str): 'student' or 'teacher'.
        name (str): Of its config, without folder and ``.py``.
        reference (str | None): ``'mmseg::...'`` or an absolute path; None
            for a backbone of timm, whose config is written out.
        config (Config): The whole config.
        model (ConfigDict): Its model.
        weights (str | None): URL of the zoo's weights.
        result (str | None): What the zoo reports of them.
    """

    role: str
    name: str
    reference: Optional[str]
    config: Config
    model: ConfigDict
    weights: Optional[str] = None
    result: Optional[str] = None

    @property
    def short_name(self) -> str:
        """The name without what it says of the recipe."""
        return _RECIPE.sub('', self.name)

    @property
    def is_timm(self) -> bool:
        """Whether it is a backbone of timm."""
        return self.reference is None

    @property
    def is_segmentor(self) -> bool:
        """Whether it labels pixels, rather than images."""
        return 'decode_head' in self.model

    @property
    def classes(self) -> Optional[int]:
        """How many its head tells apart."""
        for name in ('decode_head', 'head', 'backbone'):
            part = self.model.get(name)
            part = part[-1] if isinstance(part, (list, tuple)) else part
            for entry in (part, (part or {}).get('kernel_generate_head')):
                if entry and entry.get('num_classes', -1) > 0:
                    return entry['num_classes']
        return None


def find_model(source: str, role: str) -> Model:
    """Find the model that the command line names.

    Args:
        source (str): ``mmseg::NAME``, ``mmpretrain::NAME``, ``timm::NAME``
            or the path of a config.
        role (str): 'student' or 'teacher', for messages.

    Returns:
        Model: It.

    Raises:
        ValueError: No such model (names close matches), or one that is
            neither a segmentor nor a classifier.
    """
    argument = f'--{role}'
    if source.startswith('timm::'):
        name = source.removeprefix('timm::')
        check_timm(name, argument)
        model = ConfigDict(timm_config(name))
        config = Config(dict(default_scope='mmpretrain', model=model))
        return Model(role, name, None, config, model)
    weights, result = None, None
    if '::' in source:
        reference = find_config(source, argument)
        entry = zoo_entry(reference)
        weights, result = entry.get('Weights'), reported(entry)
    elif osp.isfile(source):
        reference = osp.abspath(source)
    else:
        name = Path(source).name.removesuffix('.py')
        raise ValueError(
            f'{argument}: no config file {source!r}; give a path, or the '
            f'name of a model of a zoo: {close_configs(name)}'
        )
    try:
        config = load_config(reference, argument)
    except ImportError as error:
        raise ValueError(
            f'{argument}: {source!r} needs what is not installed: '
            f'{first_line(error)}'
        ) from error
    _check_is_usable(config, role, source)
    model = resolve_model_config(reference, argument)[0]
    name = Path(reference.rpartition('::')[2]).stem
    return Model(role, name, reference, config, model, weights, result)


def build(model: Model) -> BaseModel:
    """Build a model with random weights, to look at.

    Args:
        model (Model): Of :func:`find_model`.

    Returns:
        BaseModel: It.

    Raises:
        ValueError: It needs what is not installed, or is no segmentor or
            classifier.
    """
    init_default_scope(model.config.get('default_scope', 'mmengine'))
    config, _ = resolve_model_config(model.model, model.role)
    try:
        built = build_model(without_pretrained(config), model.role)
    except Exception as error:
        raise ValueError(
            f'--{model.role}: {model.name} cannot be built here: '
            f'{first_line(error)}'
        ) from error
    if not hasattr(built, 'backbone'):
        raise ValueError(
            f'--{model.role}: {model.name} is a {type(built).__name__}, not '
            'a segmentor or a classifier with a backbone'
        )
    return built


def look_at(model: Model, size: Optional[Size]) -> Tuple[Found, Size]:
    """Find the layers of a model by a dry run.

    Args:
        model (Model): Of :func:`find_model`.
        size (tuple[int, int], optional): Height and width of the images; by
            default those that the model is trained with.

    Returns:
        tuple[Found, tuple[int, int]]: What can be distilled, and the size.

    Raises:
        ValueError: It cannot be built, or cannot run on such images.
    """
    built = build(model)
    size = size or input_size(built)[0]
    try:
        calls = trace(built, size)
    except ValueError as error:
        raise ValueError(
            f'--{model.role}: {model.name} cannot run on images of '
            f'{size[0]}x{size[1]}: {first_line(error)}'
        ) from error
    return find_layers(calls, model.classes), size


def first_line(error: BaseException) -> str:
    """An error's message, as far as it fits in another one.

    Args:
        error (BaseException): It.

    Returns:
        str: The first line of what it began with, or its kind.
    """
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]


def _check_is_usable(config: Config, role: str, source: str) -> None:
    model = config.get('model')
    if not isinstance(model, dict):
        raise ValueError(f'--{role}: the config {source!r} has no model')
    if 'architecture' in model:
        raise ValueError(
            f'--{role}: {source!r} is the config of a distillation; give '
            'that of the model itself'
        )
    if not isinstance(model.get('backbone'), dict):
        raise ValueError(
            f'--{role}: {source!r} defines a {model.get("type")}, which has '
            'no backbone; take a segmentor or a classifier'
        )
    kind = str(model.get('type')).rpartition('.')[2]
    is_classifier = kind == 'ImageClassifier' and model.get('head')
    if role == 'student' and not (is_classifier or 'decode_head' in model):
        raise ValueError(
            f'--{role}: {source!r} defines a {kind}; a student is a '
            'segmentor or an ImageClassifier with a head'
        )
