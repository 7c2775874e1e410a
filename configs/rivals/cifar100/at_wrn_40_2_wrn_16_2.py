# AT, WRN-40-2 -> WRN-16-2 on CIFAR-100: what tat_wrn_40_2_wrn_16_2.py is
# compared with, by the same recipe, teacher and student.
#   python tools/train.py configs/rivals/cifar100/at_wrn_40_2_wrn_16_2.py
# Weight: RepDistiller's script. Deviation: the last map behind its norm and
# ReLU.
_base_ = [
    '../../cifar100/tat_wrn_40_2_wrn_16_2.py',
    '../../_base_/distillers/at.py',
]
model = dict(
    distiller=dict(
        _delete_=True,
        **_base_.distiller,
        layers=['backbone.layer1', 'backbone.layer2', 'backbone.final'],
        loss_weight=1000.0,
    ),
)
