# The student with few labels, trained on from its checkpoint with TaT: the
# same steps, seed and images as scenes_further_few.py.
#   python tools/train.py configs/digit_scenes/scenes_tat_few.py
_base_ = './scenes_tat.py'
# As there: 200 scenes with labels 9 times, and 1800 without.
mixed = [
    dict(type='RepeatDataset', dataset=_base_.labelled, times=9),
    _base_.unlabelled,
]
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=mixed)
)
load_from = 'work_dirs/scenes_student_few/iter_800.pth'
