from .shifts_val_loop import ShiftsValLoop

__all__ = ['ShiftsValLoop']
