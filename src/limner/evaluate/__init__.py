"""How good results are: annotations and results -> AP and AR, NME, PCK, AUC, EPE; reports and comparisons.

`annotations` reads what is true, `predictions` what was found before or makes it now, `matching` brings the two
together, `metrics` and `precision` count, `compare` says how sure a difference is, `report` and `page` show it.
"""
