"""The report: what records, predictions and weights of a data set show, as one HTML page with figures.

`evidence` reads the records, and `model_outputs` runs a trained model on test images. Each figure has a file
of its own: functions that compute its numbers, one that draws them, and one that returns both as a
`ReportFigure`. `headline` puts the main numbers into sentences, `sections` collects everything, `html_page`
lays it out, and `report_folder` writes it.
"""
