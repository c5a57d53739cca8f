"""Charts of answers: what is drawn, as plain data (chart.py), how (figure.py), and which chart says what."""
