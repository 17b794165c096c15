"""Translates the settings into what each part takes, and says what is comparable with what."""
