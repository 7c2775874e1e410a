"""Which module computes which loss of a distiller, and what weighs it."""

from typing import Dict, List

from mmrazor.models.distillers import BaseDistiller
from torch import nn

#: Parts of a distiller that hold its losses layer by layer, by loss.
_BY_LAYER = ('layer_criteria', 'tat')


def loss_modules(distiller: BaseDistiller) -> Dict[str, nn.Module]:
    """The modules of a distiller's losses, by their names in the log.

    The one place that knows where each kind of distiller keeps them. Most
    have a ``loss_weight``, a number that may be set before any step.

    Args:
        distiller (ConfigurableDistiller): That has seen its models.

    Returns:
        dict[str, nn.Module]: By names such as ``loss_tat_patch_group``,
        without the 'distill.' that the algorithm puts before them.
    """
    return {**configured_modules(distiller), **own_modules(distiller)}


def loss_weights(distiller: BaseDistiller) -> Dict[str, float]:
    """The weights of a distiller's losses now.

    Args:
        distiller (ConfigurableDistiller): It.

    Returns:
        dict[str, float]: By the losses' names; of those that have one.
    """
    return {
        name: float(module.loss_weight)
        for name, module in loss_modules(distiller).items()
        if has_weight(module)
    }


def configured_modules(distiller: BaseDistiller) -> Dict[str, nn.Module]:
    """Those of the config's ``distill_losses`` that are computed.

    Args:
        distiller (ConfigurableDistiller): It.

    Returns:
        dict[str, nn.Module]: By their names.
    """
    return {
        name: distiller.distill_losses[name]
        for name in distiller.loss_forward_mappings
    }


def own_modules(distiller: BaseDistiller) -> Dict[str, nn.Module]:
    """Those that the distiller adds by itself: of layers and logits.

    Args:
        distiller (ConfigurableDistiller): It.

    Returns:
        dict[str, nn.Module]: By their names; of a distiller that does not
        name its losses, by the names of the modules.
    """
    modules: Dict[str, nn.Module] = {}
    logits = getattr(distiller, 'logits', None)
    for name, part in distiller.named_children():
        if name in _BY_LAYER:
            modules.update(_by_layer(name, part))
        elif name not in ('distill_losses', 'connectors', 'logits'):
            modules.update(_weighted(name, part))
    names = list(getattr(distiller, 'own_loss_names', modules))
    if logits is not None and logits.loss_name in names:
        names.remove(logits.loss_name)
    if len(names) == len(modules):
        modules = dict(zip(names, modules.values()))
    if logits is not None:
        modules[logits.loss_name] = logits.loss
    return modules


def weight_settings(distiller: BaseDistiller) -> Dict[str, float]:
    """What a config sets to weigh the losses, and its values now.

    Args:
        distiller (ConfigurableDistiller): It.

    Returns:
        dict[str, float]: By keys below ``model.distiller``, such as
        ``branches.whole.loss_weight``. All of them multiplied by one number
        multiply the distillation's gradient by it.
    """
    found = {
        f'distill_losses.{name}': module
        for name, module in configured_modules(distiller).items()
    }
    parts = dict(distiller.named_children())
    if hasattr(distiller, 'loss_weight'):
        # One factor of all that the distiller adds by itself.
        found[''] = distiller
    else:
        for layer in parts.get('tat', ()):
            for branch, module in layer.losses.items():
                found[f'branches.{branch}'] = module
        if 'logits' in parts:
            found['logits'] = parts['logits'].loss
        if 'hcl' in parts:
            found[''] = parts['hcl']
    return {
        f'{key}.loss_weight'.lstrip('.'): float(module.loss_weight)
        for key, module in found.items()
        if has_weight(module)
    }


def has_weight(module: nn.Module) -> bool:
    """Whether a loss has a weight that can be read without waiting.

    Args:
        module (nn.Module): A loss.

    Returns:
        bool: False also for a tensor, which a GPU would be asked for.
    """
    return isinstance(getattr(module, 'loss_weight', None), (int, float))


def _by_layer(name: str, part: nn.ModuleList) -> Dict[str, nn.Module]:
    """Loss after loss, and of each loss layer after layer."""
    layers = [getattr(layer, 'losses', layer) for layer in part]
    keys: List[str] = list(layers[0].keys()) if layers else []
    return {
        f'{name}.{index}.{key}': layer[key]
        for key in keys
        for index, layer in enumerate(layers)
    }


def _weighted(name: str, part: nn.Module) -> Dict[str, nn.Module]:
    """The outermost modules that have a weight."""
    if hasattr(part, 'loss_weight'):
        return {name: part}
    modules: Dict[str, nn.Module] = {}
    for child_name, child in part.named_children():
        modules.update(_weighted(f'{name}.{child_name}', child))
    return modules
