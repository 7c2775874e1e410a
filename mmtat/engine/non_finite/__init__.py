"""Steps whose numbers are not finite: found, said, saved, run again."""
