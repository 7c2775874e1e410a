# PKD: squared error of standardised channels (Cao et al., NeurIPS 2022), by
# mmrazor.
distiller = dict(
    type='mmtat.FeatureDistiller',
    student_connector=dict(type='mmtat.EmbeddingConnector', norm='batch'),
    losses=dict(loss_pkd=dict(type='PKDLoss')),
)
