"""Charts as data, and the two ways of drawing one.

1. ``chart.py``  what a chart shows: a histogram, lines over steps, or the bars of a funnel
2. ``scale.py``  values to places along an axis, and the ticks between
3. ``svg.py``    a chart as markup of the page, in the page's own colours and font: light and dark, in a millisecond
4. ``png.py``    the same chart as a picture for slides and for Prefect, by matplotlib
"""
