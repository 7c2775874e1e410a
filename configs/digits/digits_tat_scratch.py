# The student with TaT from scratch: the same steps, seed and images as
# digits_scratch.py.
#   python tools/train.py configs/digits/digits_tat_scratch.py
_base_ = './digits_tat.py'
load_from = None
optim_wrapper = dict(optimizer=dict(lr=0.02))
train_dataloader = dict(batch_size=16)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, end=180),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=180, end=600),
]
train_cfg = dict(max_iters=600)
