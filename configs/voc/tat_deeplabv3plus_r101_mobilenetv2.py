# DeepLabV3+ R101 -> MobileNetV2 on VOC 2012 + SBD, as TaT's authors ran it.
#   bash tools/dist_train.sh configs/voc/deeplabv3plus_r101.py 4
#   bash tools/dist_train.sh \
#     configs/voc/tat_deeplabv3plus_r101_mobilenetv2.py 4
# The teacher comes first. Recipe: the student's alone, and TaT as released.
# Deviations: those of the student alone; and the teacher is in eval mode and
# has no graph, where the released one runs in train mode.
_base_ = './deeplabv3plus_mobilenetv2.py'
work_dir = 'work_dirs/voc/{{ fileBasenameNoExtension }}'
model = dict(
    _delete_=True,
    type='mmtat.FrozenTeacherDistill',
    architecture=_base_.model,
    teacher='{{ fileDirname }}/deeplabv3plus_r101.py',
    teacher_ckpt='work_dirs/voc/deeplabv3plus_r101/iter_66100.pth',
    distiller=dict(
        type='mmtat.TaTDistiller',
        # Before the ReLU; 256 x 129 x 129.
        layers=['decode_head.decoder.conv2.bn'],
        formulation='released',
        # Beside a cross-entropy that is divided by the batch size.
        branches=dict(
            patch_group=dict(patches=(32, 32), groups=1024, loss_weight=0.1),
            anchor_point=dict(anchors=(64, 64), loss_weight=0.05),
        ),
    ),
)
