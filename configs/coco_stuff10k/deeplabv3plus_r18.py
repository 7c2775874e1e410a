# A student, alone: DeepLabV3+ R18 at output stride 16 on COCO-Stuff 10k, as
# TaT's authors train it.
#   bash tools/dist_train.sh configs/coco_stuff10k/deeplabv3plus_r18.py 4
# Recipe: lr 0.01, 16 images a step, 100 epochs; the rest is in the bases.
# Deviations (in the bases): 171 classes, not 182; validated at each image's
# own size, no batch dropped; of layer4's convolutions the first of each
# block is dilated.
_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16.py',
    '../_base_/datasets/coco_stuff10k_513.py',
    '../_base_/schedules/sgd_nesterov_cosine.py',
]
work_dir = 'work_dirs/coco_stuff10k/{{ fileBasenameNoExtension }}'
model = dict(
    decode_head=dict(num_classes=171, loss_decode=dict(loss_weight=1 / 16)),
)
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=0.01))
# 100 epochs of 9000 // 16 = 562 iterations.
param_scheduler = dict(T_max=56200)
train_cfg = dict(max_iters=56200)
auto_scale_lr = dict(enable=False, base_batch_size=16)
