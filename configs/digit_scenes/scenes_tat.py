# The student, trained on from its checkpoint with TaT: the same steps, seed
# and images as scenes_further.py.
#   python tools/train.py configs/digit_scenes/scenes_tat.py
_base_ = './scenes_further.py'
# Of the decoder's last convolution, before its ReLU; 32 x 20 x 20 and
# 64 x 20 x 20.
layer = 'decode_head.sep_bottleneck.1.pointwise_conv.bn'
model = dict(
    _delete_=True,
    type='mmtat.FrozenTeacherDistill',
    architecture=_base_.model,
    teacher='{{ fileDirname }}/scenes_teacher.py',
    teacher_ckpt='work_dirs/scenes_teacher/iter_700.pth',
    distiller=dict(
        type='mmtat.TaTDistiller',
        layers=[dict(student=layer, teacher=layer)],
        branches=dict(
            # Patches of 5x5: a digit spans 7 to 10 of the 20 cells. Neither
            # weight is tuned.
            patch_group=dict(patches=(4, 4), groups=16, loss_weight=1.0),
            anchor_point=dict(anchors=(10, 10), loss_weight=1.0),
        ),
    ),
)
