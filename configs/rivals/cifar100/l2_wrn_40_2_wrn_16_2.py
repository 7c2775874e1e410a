# FitNet, WRN-40-2 -> WRN-16-2 on CIFAR-100: what tat_wrn_40_2_wrn_16_2.py is
# compared with, by the same recipe, teacher and student.
#   python tools/train.py configs/rivals/cifar100/l2_wrn_40_2_wrn_16_2.py
# Weight: RepDistiller's script. Deviations: the last map, as for every method
# here, where RepDistiller takes an inner one; no ReLU behind the regressor.
_base_ = [
    '../../cifar100/tat_wrn_40_2_wrn_16_2.py',
    '../../_base_/distillers/l2.py',
]
model = dict(
    distiller=dict(
        _delete_=True,
        **_base_.distiller,
        layers=['backbone.final'],
        loss_weight=100.0,
    ),
)
