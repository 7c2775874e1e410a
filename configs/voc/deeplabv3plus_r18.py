# A student, alone: DeepLabV3+ R18 at output stride 16 on VOC 2012 + SBD, as
# TaT's authors train it.
#   bash tools/dist_train.sh configs/voc/deeplabv3plus_r18.py 4
# Recipe: lr 0.007, 16 images a step, 100 epochs; the rest is in the bases.
# Deviations (in the bases): validated at each image's own size, no batch
# dropped; of layer4's convolutions the first of each block is dilated.
_base_ = [
    '../_base_/models/deeplabv3plus_r18-d16.py',
    '../_base_/datasets/voc12_aug_513.py',
    '../_base_/schedules/sgd_nesterov_cosine.py',
]
work_dir = 'work_dirs/voc/{{ fileBasenameNoExtension }}'
model = dict(
    decode_head=dict(num_classes=21, loss_decode=dict(loss_weight=1 / 16)),
)
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=0.007))
# 100 epochs of 10582 // 16 = 661 iterations.
param_scheduler = dict(T_max=66100)
train_cfg = dict(max_iters=66100)
auto_scale_lr = dict(enable=False, base_batch_size=16)
