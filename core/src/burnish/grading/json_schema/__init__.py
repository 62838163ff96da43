"""JSON Schema for the grader json_fields: bounded in time, with references that stay inside the document and end.

Called by that grader alone. What an endpoint is asked to keep to is in the client's `evaluation/answer_format.py`.
"""
