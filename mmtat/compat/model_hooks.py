"""Hooks that a model brings along."""

import functools

from .workaround import Workaround


def _model_hooks_needed() -> bool:
    return True


def _apply_model_hooks() -> None:
    from mmengine.model import is_model_wrapper
    from mmengine.registry import HOOKS
    from mmengine.runner import Runner

    register_hooks = Runner.register_hooks

    @functools.wraps(register_hooks)
    def register_with_model_hooks(self, *args, **kwargs):
        register_hooks(self, *args, **kwargs)
        model = (
            self.model.module if is_model_wrapper(self.model) else self.model
        )
        known = {type(hook) for hook in self.hooks}
        for config in getattr(model, 'required_hooks', list)():
            if HOOKS.get(config['type']) not in known:
                self.register_hook(dict(config))

    Runner.register_hooks = register_with_model_hooks


WORKAROUND = Workaround(
    'model-hooks',
    'a model cannot ask the Runner for a hook, and a checkpoint of '
    'FrozenTeacherDistill is a student checkpoint only by its hooks',
    'mmengine lets a model bring its hooks',
    _model_hooks_needed,
    _apply_model_hooks,
)
