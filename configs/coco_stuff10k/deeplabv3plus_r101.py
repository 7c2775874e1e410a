# A teacher: DeepLabV3+ R101 at output stride 16 on COCO-Stuff 10k, as TaT's
# authors train it.
#   bash tools/dist_train.sh configs/coco_stuff10k/deeplabv3plus_r101.py 4
# Recipe: lr 0.004, 16 images a step, 200 epochs, poly with DeepLab's power of
# 0.9; the rest is in the bases.
# Deviations (in the bases): 171 classes, not 182; validated at each image's
# own size, no batch dropped.
_base_ = [
    '../_base_/models/deeplabv3plus_r101-d16.py',
    '../_base_/datasets/coco_stuff10k_513.py',
    '../_base_/schedules/sgd_nesterov_cosine.py',
]
work_dir = 'work_dirs/coco_stuff10k/{{ fileBasenameNoExtension }}'
model = dict(
    decode_head=dict(num_classes=171, loss_decode=dict(loss_weight=1 / 16)),
)
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=0.004))
# 200 epochs of 9000 // 16 = 562 iterations.
param_scheduler = dict(
    _delete_=True,
    type='PolyLR',
    power=0.9,
    eta_min=0.0,
    by_epoch=False,
    end=112400,
)
train_cfg = dict(max_iters=112400)
auto_scale_lr = dict(enable=False, base_batch_size=16)
