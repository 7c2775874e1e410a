# Who looks at whom: 'released' (the student over the teacher's positions)
# against 'paper' (the teacher over the student's), on the tuning scenes.
#   bash tools/demo.sh  # its scenes, teacher and student
#   python tools/sweep.py configs/sweeps/formulation_digit_scenes.py
_base_ = './_base_/digit_scenes.py'
grid = {'model.distiller.formulation': ['released', 'paper']}
