# The student, trained on from its checkpoint without a teacher: what
# scenes_tat.py has to beat with the same steps, seed and images.
#   python tools/train.py configs/digit_scenes/scenes_further.py
_base_ = './scenes_student.py'
load_from = 'work_dirs/scenes_student/iter_800.pth'
# Half of the first cycle's peak.
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, end=75),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=75, end=250),
]
train_cfg = dict(max_iters=250)
