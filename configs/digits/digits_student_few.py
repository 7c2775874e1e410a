# The student alone with labels on a tenth of the training images: 108.
#   python tools/train.py configs/digits/digits_student_few.py
_base_ = './digits_student.py'
train_dataloader = dict(
    # As many labels a step as digits_further_few.py has on average.
    batch_size=16,
    dataset=_base_.labelled,
)
