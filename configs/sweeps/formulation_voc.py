# Who looks at whom on VOC: 'released' (the student over the teacher's
# positions) against 'paper' (the teacher over the student's).
#   python tools/sweep.py configs/sweeps/formulation_voc.py --gpus 0,1
# Needs the teacher that _base_/voc.py names.
_base_ = './_base_/voc.py'
grid = {'model.distiller.formulation': ['released', 'paper']}
