# The student, trained on from its checkpoint without a teacher: what
# digit_scenes_tat.py has to beat with the same steps, seed and images.
#   python tools/train.py configs/demo/digit_scenes_student_further.py
_base_ = './digit_scenes_student.py'
train_dataloader = dict(
    # Half of them have labels: 8, as in each batch of the student's before.
    batch_size=16,
    dataset=dict(_delete_=True, **_base_.mixed_dataset),
)
load_from = 'work_dirs/digit_scenes_student/iter_1000.pth'
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, end=150),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=150, end=500),
]
train_cfg = dict(max_iters=500, val_interval=500)
