# The student, trained on from its checkpoint with TaT: the same steps, seed
# and images as digits_further.py.
#   python tools/train.py configs/digits/digits_tat.py
_base_ = './digits_further.py'
model = dict(
    _delete_=True,
    type='mmtat.FrozenTeacherDistill',
    architecture=_base_.model,
    teacher='{{ fileDirname }}/digits_teacher.py',
    teacher_ckpt='work_dirs/digits_teacher/iter_300.pth',
    distiller=dict(
        type='mmtat.TaTDistiller',
        input_size=(32, 32),
        # After the last ReLU; 16 x 8 x 8 and 64 x 8 x 8.
        layers=[dict(student='backbone.layer3', teacher='backbone.layer3')],
        # The embeddings that were released for ImageNet.
        query=dict(kernel_size=3, norm='batch'),
        key=None,
        value=dict(kernel_size=3, norm='batch'),
        # Not tuned.
        branches=dict(whole=dict(loss_weight=1.0)),
    ),
)
