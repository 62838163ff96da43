"""What an answer says: the choice, number or JSON object that it states, and whether it refuses.

Pure functions on text, called by the graders and by the judge's prompt. No grade is decided here.
"""
