# The student, trained on from its checkpoint without a teacher: what
# digits_tat.py has to beat with the same steps, seed and images.
#   python tools/train.py configs/digits/digits_further.py
_base_ = './digits_student.py'
load_from = 'work_dirs/digits_student/iter_300.pth'
# Half of the first cycle's peak and number of steps.
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, end=45),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=45, end=150),
]
train_cfg = dict(max_iters=150)
