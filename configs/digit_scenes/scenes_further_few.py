# The student with few labels, trained on without a teacher: what
# scenes_tat_few.py has to beat with the same steps, seed and images.
#   python tools/train.py configs/digit_scenes/scenes_further_few.py
_base_ = './scenes_further.py'
# Half of the scenes of a step have labels, over whose pixels alone the loss
# is the mean: 200 scenes 9 times, and 1800.
mixed = [
    dict(type='RepeatDataset', dataset=_base_.labelled, times=9),
    _base_.unlabelled,
]
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=mixed)
)
load_from = 'work_dirs/scenes_student_few/iter_800.pth'
