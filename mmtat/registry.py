"""mmtat's child registries: its components are ``mmtat.X`` from any scope."""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry(
    'model',
    scope='mmtat',
    parent=MMENGINE_MODELS,
    locations=['mmtat.models'],
)
HOOKS = Registry(
    'hook',
    scope='mmtat',
    parent=MMENGINE_HOOKS,
    locations=['mmtat.engine.hooks'],
)
DATASETS = Registry(
    'dataset',
    scope='mmtat',
    parent=MMENGINE_DATASETS,
    # Not the package, which the demo reads without mmpretrain.
    locations=['mmtat.datasets.digits', 'mmtat.datasets.checked_dataset'],
)
DATA_SAMPLERS = Registry(
    'data sampler',
    scope='mmtat',
    parent=MMENGINE_DATA_SAMPLERS,
    locations=['mmtat.engine.saving.positions'],
)
TRANSFORMS = Registry(
    'transform',
    scope='mmtat',
    parent=MMENGINE_TRANSFORMS,
    locations=['mmtat.datasets.transforms'],
)
LOOPS = Registry(
    'loop',
    scope='mmtat',
    parent=MMENGINE_LOOPS,
    locations=['mmtat.engine.loops'],
)
METRICS = Registry(
    'metric',
    scope='mmtat',
    parent=MMENGINE_METRICS,
    locations=['mmtat.engine.evaluation'],
)
