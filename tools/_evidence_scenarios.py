"""The data sets, regimes and layers of tools/evidence.py."""

from dataclasses import replace
from pathlib import Path

from mmtat.datasets import write_digit_scenes
from mmtat.engine.comparison import Regime, Scenario

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
SHIFTS = ['noise', 'blur', 'contrast']

DIGITS = Scenario(
    'digits',
    'handwritten digits, classification',
    CONFIGS / 'digits',
    teacher='digits_teacher',
    regimes=[
        Regime(
            'all',
            'warm start, all labels',
            'digits_further',
            'digits_tat',
            'digits_student',
        ),
        Regime(
            'few',
            'warm start, labels on a tenth',
            'digits_further_few',
            'digits_tat_few',
            'digits_student_few',
        ),
        Regime(
            'scratch', 'from scratch', 'digits_scratch', 'digits_tat_scratch'
        ),
    ],
    metric='accuracy/top1',
    shifts=SHIFTS,
    tuning={'val_dataloader.dataset.split': 'tuning'},
    layers=dict(
        one=['backbone.layer3'],
        # The last norm of the last block, before its sum and its ReLU.
        norm=[
            dict(
                student='backbone.layer3.0.residual.4',
                teacher='backbone.layer3.1.residual.4',
            )
        ],
        several=[
            'backbone.layer1',
            'backbone.layer2',
            'backbone.layer3',
            'neck',
        ],
    ),
    changes=dict(
        crd=dict(losses=dict(loss_crd=dict(images=1078, negatives=512)))
    ),
)

SCENES = Scenario(
    'digit_scenes',
    'digit scenes, segmentation',
    CONFIGS / 'digit_scenes',
    teacher='scenes_teacher',
    regimes=[
        Regime(
            'few',
            'warm start, labels on a tenth',
            'scenes_further_few',
            'scenes_tat_few',
            'scenes_student_few',
        ),
        Regime(
            'all',
            'warm start, all labels',
            'scenes_further',
            'scenes_tat',
            'scenes_student',
        ),
    ],
    metric='mIoU',
    shifts=SHIFTS,
    tuning={
        'val_dataloader.dataset.ann_file': (
            'ImageSets/Segmentation/tuning.txt'
        )
    },
    layers=dict(
        one=['decode_head.sep_bottleneck.1.pointwise_conv.bn'],
        norm=['decode_head.sep_bottleneck.1.pointwise_conv.bn'],
        several=[
            'backbone.layer1',
            'backbone.layer2',
            'backbone.layer3',
        ],
    ),
    changes=dict(
        crd=dict(losses=dict(loss_crd=dict(images=2000, negatives=512)))
    ),
    data_root='data',
)

SCENARIOS = {scenario.name: scenario for scenario in (DIGITS, SCENES)}


def with_data(scenario: Scenario, out: Path) -> Scenario:
    """Write the data of a scenario, where it reads files.

    Args:
        scenario (Scenario): One of :data:`SCENARIOS`.
        out (Path): Folder of its runs.

    Returns:
        Scenario: The same, with the absolute folder of its data.
    """
    if scenario.data_root is None:
        return scenario
    data = write_digit_scenes(out / scenario.data_root, labelled=200)
    return replace(scenario, data_root=str(data))
