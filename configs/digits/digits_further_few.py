# The student with few labels, trained on without a teacher: what
# digits_tat_few.py has to beat with the same steps, seed and images.
#   python tools/train.py configs/digits/digits_further_few.py
_base_ = './digits_further.py'
# Half of the 32 images of a step have labels, and the loss is the mean over
# all: doubled, each label weighs as in digits_student_few.py.
model = dict(head=dict(loss=dict(loss_weight=2.0)))
train_dataloader = dict(dataset=dict(_delete_=True, **_base_.mixed_dataset))
load_from = 'work_dirs/digits_student_few/iter_300.pth'
