"""mmtat's child registries: its components are ``mmtat.X`` from any scope."""

from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
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
