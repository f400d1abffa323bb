"""Parts of ``python -m kmir.benchmark``: one file for each thing that is measured, and the method.

What is compared runs in turns, A B A B, each in a process of its own on the same cores, after a
warm-up that is not counted; figures are medians, with the quartiles beside them, and a ratio is
taken turn by turn, so that what slows the machine for a while slows both.
"""
