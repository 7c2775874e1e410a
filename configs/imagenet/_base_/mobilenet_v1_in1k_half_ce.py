# The student of a distillation with KL: the other half of the weight is the
# logits'.
_base_ = './mobilenet_v1_in1k.py'
model = dict(head=dict(loss=dict(loss_weight=0.5)))
