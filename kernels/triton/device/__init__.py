"""What runs on the device: functions for Triton's compiler. The only files that import triton when they are loaded, and
that nothing imports until a kernel runs or is compiled.
"""
