"""What the memory of a training step is for, by the names in the tables."""

STUDENT = 'student weights'
DISTILLER = 'distiller weights (embeddings)'
TEACHER = 'teacher weights'
AVERAGE = 'EMA copy'
OPTIMIZER = 'optimizer state'
GRADIENTS = 'gradients of the weights'
BATCH = 'images and labels'
TEACHER_FORWARD = 'teacher forward'
RECORDS = 'recorded maps of the teacher'
FORWARD = 'student forward, kept for the backward'
LOSS = 'distillation losses'
BACKWARD = 'gradients of maps, in the backward'
UPDATE = 'update of the weights'
RUNTIME = 'runtime'

#: In the order of the table.
PARTS = (
    STUDENT,
    DISTILLER,
    TEACHER,
    AVERAGE,
    OPTIMIZER,
    GRADIENTS,
    BATCH,
    TEACHER_FORWARD,
    RECORDS,
    FORWARD,
    LOSS,
    BACKWARD,
    UPDATE,
    RUNTIME,
)
