"""The registered components of mmtat, in the order of the reference."""

import inspect
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

from mmengine.registry import Registry

from mmtat import registry

#: Title and introduction of each group, by the package that it lives in.
TITLES = {
    'mmtat.models.algorithms': (
        'Algorithm',
        'The `model` of a distillation. The Runner trains it as any other.',
    ),
    'mmtat.models.distillers': (
        'Distillers',
        'The `model.distiller`: which layers are compared, and how.',
    ),
    'mmtat.models.connectors': (
        'Connectors',
        'What a recorded feature passes before it is compared.',
    ),
    'mmtat.models.losses': (
        'Losses',
        'For `mmtat.FeatureDistiller(losses=...)`, or the `distill_losses` '
        'of any distiller of MMRazor.',
    ),
    'mmtat.models.backbones': (
        'Backbones',
        'Networks that mmpretrain lacks or builds otherwise.',
    ),
    'mmtat.models.decode_heads': (
        'Decode heads',
        'Heads that mmsegmentation lacks.',
    ),
    'mmtat.engine.hooks': (
        'Hooks',
        'For `custom_hooks`. What the algorithm adds by itself says so.',
    ),
    'mmtat.engine.loops': ('Loops', 'For `val_cfg`.'),
    'mmtat.datasets': ('Datasets', 'For the `dataset` of a data loader.'),
    'mmtat.datasets.transforms': ('Transforms', 'For a `pipeline`.'),
}


@dataclass(frozen=True)
class Component:
    """Something that a config names.

    Attributes:
        name (str): Of its class.
        type (str): As a config names it, 'mmtat.TaTLoss'; '' for the
            arguments of a dict that has no type.
        source (type): The class.
    """

    name: str
    type: str
    source: type

    def parameters(self) -> Dict[str, inspect.Parameter]:
        """What it is called with, without ``self``.

        Returns:
            dict[str, inspect.Parameter]: By name, in order.
        """
        if isinstance(self.source, type):
            if self.source.__init__ is object.__init__:
                return {}
        return dict(inspect.signature(self.source).parameters)


@dataclass(frozen=True)
class Group:
    """Components of one kind.

    Attributes:
        title (str): A heading.
        text (str): One sentence or two below it.
        components (tuple[Component]): In their order.
    """

    title: str
    text: str
    components: Tuple[Component, ...]


def component_groups() -> List[Group]:
    """Every component that mmtat registers, and the dicts within them.

    Returns:
        list[Group]: In the order of :data:`TITLES`; packages that it does
        not know come last.
    """
    found: Dict[str, List[Component]] = {package: [] for package in TITLES}
    for kind in _registries():
        kind.import_from_location()
        for name, source in kind.module_dict.items():
            if source.__module__.startswith('mmtat.'):
                component = Component(name, f'mmtat.{name}', source)
                found.setdefault(_package(source), []).append(component)
    for package, components in found.items():
        components.sort(key=lambda component: component.name.lower())
        components.extend(_without_a_type(package))
    return [
        Group(*TITLES.get(package, (package, '')), tuple(components))
        for package, components in found.items()
        if components
    ]


def _registries() -> List[Registry]:
    return [v for v in vars(registry).values() if _is_own(v)]


def _is_own(value: Any) -> bool:
    return isinstance(value, Registry) and value.scope == 'mmtat'


def _package(source: type) -> str:
    """The longest known package that a class lives in, or its module."""
    known = [p for p in TITLES if source.__module__.startswith(p + '.')]
    return max(known, key=len, default=source.__module__)


def _without_a_type(package: str) -> List[Component]:
    """Dicts of a config that no registry knows, and shared arguments."""
    from mmtat.models.distillers.layer_pair_distiller import LayerPairDistiller
    from mmtat.models.distillers.logits import LogitsDistillation
    from mmtat.models.utils import TeacherOptions

    extra = {
        'mmtat.models.algorithms': [('teacher_options', TeacherOptions)],
        'mmtat.models.distillers': [
            ('logits', LogitsDistillation),
            ('Arguments of every distiller', LayerPairDistiller),
        ],
    }
    return [Component(n, '', s) for n, s in extra.get(package, [])]
