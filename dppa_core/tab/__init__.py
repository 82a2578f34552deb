"""What a browser's tab needs to merge and to answer by itself: weights, scores, vocabulary.

assets/js/tab/ and assets/tab/ read it. Only for the embedded models, which fit a tab.
"""
