# The student with few labels, trained on from its checkpoint with TaT: the
# same steps, seed and images as digits_further_few.py.
#   python tools/train.py configs/digits/digits_tat_few.py
_base_ = './digits_tat.py'
# As there: each label weighs as if no image went without.
model = dict(architecture=dict(head=dict(loss=dict(loss_weight=2.0))))
train_dataloader = dict(dataset=dict(_delete_=True, **_base_.mixed_dataset))
load_from = 'work_dirs/digits_student_few/iter_300.pth'
