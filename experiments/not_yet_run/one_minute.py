"""From nothing to 97 per cent in a minute, without a label. Watch it:

    python experiments/one_minute.py show
    python experiments/one_minute.py          ten seeds into a results file, about ten minutes on 2 CPU cores

Several starts on a third of the images; the most consistent one goes on with all of them, as in chapter 8, but with
small experts and without the stronger changes. `show` draws what the experts draw after every epoch into
one_minute.png, one row an epoch, and says the time. The clock starts before PyTorch is loaded. Labels stop the clock
and choose nothing; the settings were found in trials whose accuracies we saw.
"""
