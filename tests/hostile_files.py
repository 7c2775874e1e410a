"""Checkpoints that run a command where they are loaded by plain pickle."""

import io
import os
import pickle
import tarfile
import zipfile

import torch


class Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'touch {self.marker}',)


def content(marker, weights=None):
    """A checkpoint with all its entries, and the payload deep inside."""
    weights = {'conv.weight': torch.ones(1)} if weights is None else weights
    return dict(
        state_dict=weights,
        distiller={},
        optimizer={},
        message_hub=dict(log_scalars={}),
        meta=dict(notes=[dict(deep=(1, dict(payload=Payload(marker))))]),
    )


def write_zip(path, value):
    torch.save(value, path)


def write_legacy(path, value):
    torch.save(value, path, _use_new_zipfile_serialization=False)


def write_plain(path, value):
    path.write_bytes(pickle.dumps(value))


def write_plain_protocol_2(path, value):
    path.write_bytes(pickle.dumps(value, protocol=2))


def write_zipped_legacy(path, value):
    """As the zoos of 2018 had it: one old file in a zip."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('model.pth', buffer.getvalue())


def write_tar(path, value):
    """The format of torch before 0.1.10, without a tensor."""
    parts = dict(
        storages=pickle.dumps(0, 2) + pickle.dumps([], 2),
        tensors=pickle.dumps(0, 2),
        pickle=pickle.dumps(dict(value, state_dict={}), 2),
    )
    with tarfile.open(path, 'w') as archive:
        for name, data in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


WRITERS = {
    'zip': write_zip,
    'legacy': write_legacy,
    'tar': write_tar,
    'plain pickle': write_plain,
    'plain pickle 2': write_plain_protocol_2,
    'zipped legacy': write_zipped_legacy,
}
