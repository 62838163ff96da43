"""Asking a judge model about answers, and measuring how far it agrees with people.

Its prompt and identity are in core's `grading/judging/`. Called by the comparison and by `burnish judge`.
"""
