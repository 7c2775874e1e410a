# MGD: the teacher's map generated from a masked student's (Yang et al., ECCV
# 2022), by mmrazor; the sum over a map, so 2e-5.
distiller = dict(
    type='mmtat.FeatureDistiller',
    student_connector=dict(type='MGDConnector', lambda_mgd=0.65),
    losses=dict(loss_mgd=dict(type='MGDLoss', alpha_mgd=2e-5)),
)
