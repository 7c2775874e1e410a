from .digit_scenes import CLASSES, PALETTE, write_digit_scenes

__all__ = ['CLASSES', 'PALETTE', 'write_digit_scenes']
