"""What is looked at, in the order in which one thing needs another."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from .findings import PROBLEM, Finding, first_line, guarded


@dataclass
class Section:
    """Findings under one heading.

    Attributes:
        title (str): The heading.
        findings (list[Finding]): They.
    """

    title: str
    findings: List[Finding] = field(default_factory=list)


def look_at_installation() -> List[Section]:
    """Look at everything but a config.

    Returns:
        list[Section]: Versions, workarounds, devices and extras.
    """
    from . import hardware, imports, installation

    versions = [
        *guarded('python', installation.look_at_python),
        *guarded('packages', installation.look_at_packages),
        *guarded('torchvision', installation.look_at_torchvision),
        *guarded('packages', installation.look_at_foreigners),
        *guarded('imports', imports.look_at_imports),
    ]
    devices = [
        *guarded('devices', hardware.look_at_devices),
        *guarded('processes', hardware.look_at_communication),
    ]
    return [
        Section('versions', versions),
        Section(
            'workarounds', guarded('workarounds', imports.look_at_workarounds)
        ),
        Section('devices', devices),
        Section('extras', guarded('extras', installation.look_at_extras)),
    ]


def look_at_config(
    path: str,
    data_root: Optional[str] = None,
    work_dir: Optional[str] = None,
    cfg_options: Optional[Dict[str, Any]] = None,
) -> Section:
    """Look at what a training of a config would use.

    Args:
        path (str): Of the config, or its name in a zoo.
        data_root (str, optional): As ``--data-root`` of the training.
        work_dir (str, optional): As ``--work-dir``.
        cfg_options (dict, optional): As ``--cfg-options``.

    Returns:
        Section: Data, classes, weights, layers and disk.
    """
    from . import of_config, weights

    section = Section(path)
    try:
        run = of_config.read(path, data_root, work_dir, cfg_options or {})
    except ImportError as error:
        line = f'not looked at, as the stack does not import: {error}'
        section.findings.append(Finding(PROBLEM, line))
        return section
    except Exception as error:
        section.findings.append(Finding(PROBLEM, first_line(error)))
        return section
    looks = [
        ('data', of_config.look_at_datasets),
        ('classes', of_config.look_at_classes),
        ('layers', of_config.look_at_layers),
        ('student', weights.look_at_student),
        ('disk', of_config.look_at_disk),
    ]
    if run.is_distillation:
        looks.insert(3, ('teacher', weights.look_at_teacher))
    for what, look in looks:
        section.findings += guarded(what, look, run)
    return section
