"""Parts of `calibration.py` and `time_to_verdict.py`: arms of one real contestant, some of them slowed by a known fraction."""
