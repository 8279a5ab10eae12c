"""What a run was like: samples, plots, findings in words, report.html and the model card."""

REPORT_NAME = "report.html"
