# The student, trained on from its checkpoint with TaT: the same steps, seed
# and images as digit_scenes_student_further.py.
#   python tools/train.py configs/demo/digit_scenes_tat.py
_base_ = './digit_scenes_student_further.py'
model = dict(
    _delete_=True,
    type='mmtat.FrozenTeacherDistill',
    architecture=_base_.model,
    teacher='{{ fileDirname }}/digit_scenes_teacher.py',
    teacher_ckpt='work_dirs/digit_scenes_teacher/iter_1000.pth',
    distiller=dict(
        type='mmtat.TaTDistiller',
        # Before the ReLU of the decoder's last convolution; 64 x 20 x 20.
        layers=['decode_head.sep_bottleneck.1.pointwise_conv.bn'],
        branches=dict(
            # Patches of 5x5: a digit spans 7 to 10 of the 20 cells. Both
            # weights are the best of 0.3, 1, 3 and 10 on tuning.txt.
            patch_group=dict(patches=(4, 4), groups=16, loss_weight=3.0),
            anchor_point=dict(anchors=(10, 10), loss_weight=3.0),
        ),
    ),
)
