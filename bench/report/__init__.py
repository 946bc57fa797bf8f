"""The report: the evidence of records, predictions and weights, in figures that say what to see.

`evidence` finds what the records hold, `witness` what a trained model tells of test images. Each figure has a
file of its own: functions that compute its numbers, one that draws them, and one that makes the `Exhibit` of
both. `answer` puts the numbers into sentences, `page` everything into one HTML page.
"""
